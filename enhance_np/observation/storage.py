"""How the images of a FITS file are stored: checksums, and compression without loss.

astropy is imported inside functions, so that this module is fast to import.
"""

import io
import os

import numpy as np

REPAIR = "silentfix+ignore"  # astropy's name for repairing cards where it can, without a word


def tiled(data: np.ndarray, header, name: str | None = None):
    """An HDU compressed by GZIP_2, line by line, without quantisation: every bit of a float stays.

    Rice would need whole numbers, that is quantised floats, in which NaN has corrupted whole tiles.
    data : (H, W) float32.  header : astropy's.  name : EXTNAME.
    Source: FITS standard 4.0 (IAU FWG 2018), sections 10.1 and 10.4.2.
    """
    from astropy.io.fits import CompImageHDU

    return CompImageHDU(data, header, name, compression_type="GZIP_2", quantize_level=0)


def write(hdus, path: str | os.PathLike) -> None:
    """Write the HDUList with CHECKSUM and DATASUM in every HDU.

    Those of a compressed image count its table, as it is in the file.
    Source: FITS standard 4.0, section 4.4.2.7 and appendix J.
    """
    from astropy.io import fits

    hdus.update_extend()
    hdus.verify(REPAIR)  # before the checksums, which count every card
    if not any(isinstance(hdu, fits.CompImageHDU) for hdu in hdus):
        _write(hdus, path)
        return
    packed = io.BytesIO()
    hdus.writeto(packed, output_verify=REPAIR)
    file = _without_times(packed.getvalue())
    with fits.open(io.BytesIO(file), disable_image_compression=True) as tables:
        _write(tables, path)


def _without_times(file: bytes) -> bytearray:
    """The file with zero for the time of day in every tile: equal images, equal files.

    A tile is a gzip member with its second of the clock in it. This changes the bytes of the file,
    because astropy 7.1 would write those and not what was changed in the data of a table.
    Source: RFC 1952, section 2.3.1; FITS standard 4.0, sections 7.3.5 and 10.1.3.
    """
    from astropy.io import fits

    changed = bytearray(file)
    with fits.open(io.BytesIO(file), disable_image_compression=True) as tables:
        for table in tables:
            if "ZIMAGE" not in table.header:
                continue
            start = table.fileinfo()["datLoc"]
            kind = table.columns.dtype.newbyteorder(">")
            rows = np.ndarray(table.header["NAXIS2"], kind, file, start)
            heap = start + table.header.get("THEAP", rows.nbytes)
            for size, offset in rows["COMPRESSED_DATA"]:  # bytes, and place in the heap, of a tile
                if size:
                    changed[heap + offset + 4 : heap + offset + 8] = bytes(4)
    return changed


def _write(hdus, path):
    for hdu in hdus:
        hdu.add_checksum("FITS checksum")  # astropy's own comment is the time of day
    hdus.writeto(path, output_verify=REPAIR)
