import sys

import pytest

from enhance_np._figures import require_matplotlib


def test_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    says = r'figures: need matplotlib: pip install "enhance_np\[plot\]"$'
    with pytest.raises(ImportError, match=says):
        require_matplotlib()
