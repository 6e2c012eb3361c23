"""Writes network.svg, the drawing of the network: python docs/learn/drawing.py"""

from pathlib import Path

from enhance_np.inspection.drawing import drawing

if __name__ == "__main__":
    Path(__file__).with_name("network.svg").write_text(drawing(), encoding="utf-8")
