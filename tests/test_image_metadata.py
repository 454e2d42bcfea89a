"""What a photo tells of its making, and what a file has room for. Truth: Pillow and tifffile."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import pytest
import tifffile
import torch
from PIL import ExifTags, Image, PngImagePlugin

from vggapps.errors import OutputExistsError, PictureError, SettingsError
from vggapps.image import Metadata, Picture, check_target, encode_picture, open_picture, read_settings, save_picture

FLAT = torch.full((1, 3, 16, 24), 0.5)
KINDS = [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("jpg", 8), ("webp", 8)]
TOLD = Metadata(
    artist="Zoë Müller, 山田",
    copyright="© 2024 Zoë Müller",
    description="Grüße vom Meer",
    taken="2024:05:31 18:00:00",
    changed="2024:06:01 09:30:00",
    make="Pentax",
    model="K-3",
    lens="HD PENTAX-D FA 50mm",
    dpi=(300.0, 300.0),
)
SETTINGS = {"style": "Große Welle", "steps": 60}


def photo(kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (24, 16), (90, 120, 30)).save(file, kind, **options)
    return file.getvalue()


def exif(**tags: object) -> Image.Exif:
    """EXIF with tags by their names; those of EXIF's own part go there."""
    made = Image.Exif()
    for name, value in tags.items():
        place = made.get_ifd(ExifTags.IFD.Exif) if name in ("DateTimeOriginal", "LensModel", "UserComment") else made
        place[getattr(ExifTags.Base, name)] = value
    return made


# Reading

CAMERA = {
    "Artist": "Zoë".encode(),
    "Copyright": "Zoë\0Editor".encode(),
    "ImageDescription": "sea",
    "DateTime": "2024:06:01 09:30:00",
    "DateTimeOriginal": "2024:05:31 18:00:00",
    "Make": "Pentax ",
    "Model": "K-3",
    "LensModel": "50mm",
}
FOUND = Metadata(
    artist="Zoë",
    copyright="Zoë; Editor",
    description="sea",
    taken="2024:05:31 18:00:00",
    changed="2024:06:01 09:30:00",
    make="Pentax",
    model="K-3",
    lens="50mm",
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_is_read(kind):
    if kind == "AVIF" and ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow has no AVIF")
    picture = open_picture(photo(kind, exif=exif(**CAMERA)))
    expected = replace(FOUND, taken=None, lens=None) if kind == "TIFF" else FOUND  # Pillow writes no more there
    assert picture.metadata == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_resolution_is_read(kind):
    across, down = open_picture(photo(kind, dpi=(300, 240))).metadata.dpi
    assert (across, down) == pytest.approx((300, 240), abs=0.02)


def test_a_photo_that_tells_nothing_has_no_metadata():
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF"):
        assert open_picture(photo(kind)).metadata is None
    assert open_picture(photo(exif=exif(Artist="  \0"))).metadata is None


def test_where_exif_lacks_the_names_they_come_from_elsewhere():
    xmp = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description>
      <dc:creator><rdf:Seq><rdf:li>Zoë &amp; Co</rdf:li><rdf:li>Max</rdf:li></rdf:Seq></dc:creator>
      <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">CC BY</rdf:li></rdf:Alt></dc:rights>
    </rdf:Description></rdf:RDF></x:xmpmeta>""".encode()
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    for data in (photo(xmp=xmp), photo("PNG", pnginfo=info), photo("WEBP", xmp=xmp)):
        assert open_picture(data).metadata == Metadata(artist="Zoë & Co; Max", copyright="CC BY")
    both = open_picture(photo(xmp=xmp, exif=exif(Artist="Ada"))).metadata
    assert both == Metadata(artist="Ada", copyright="CC BY")
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "Zoë")
    texts.add_text("Copyright", "CC BY", zip=True)
    assert open_picture(photo("PNG", pnginfo=texts)).metadata == Metadata(artist="Zoë", copyright="CC BY")
    records = b"".join(
        b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text)) + text
        for number, text in [(80, "Zoë".encode()), (80, b"Max"), (116, b"CC BY"), (120, b"sea")]
    )
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    plain = photo()
    iptc = plain[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    assert open_picture(iptc).metadata == Metadata(artist="Zoë; Max", copyright="CC BY", description="sea")


@pytest.mark.parametrize(
    "damage", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40]
)
def test_damaged_exif_costs_nothing(damage):
    picture = open_picture(photo(exif=damage))
    assert picture.size == (16, 24)
    assert picture.metadata is None


# Writing


@pytest.mark.parametrize(("suffix", "bits"), KINDS)
@pytest.mark.parametrize("made_by", [None, SETTINGS])
def test_metadata_goes_round_beside_the_settings(suffix, bits, made_by):
    data = encode_picture(Picture(FLAT, metadata=TOLD), suffix, bits=bits, settings=made_by)
    again = open_picture(data)
    assert again.metadata == TOLD
    assert read_settings(data) == made_by
    assert again.notes == ()
    part = Metadata(artist="Ada")
    assert open_picture(encode_picture(Picture(FLAT, metadata=part), suffix, bits=bits)).metadata == part
    assert open_picture(encode_picture(FLAT, suffix, bits=bits, settings=made_by)).metadata is None


@pytest.mark.parametrize(("suffix", "bits"), KINDS)
def test_other_programs_find_it(suffix, bits):
    data = encode_picture(Picture(FLAT, metadata=TOLD), suffix, bits=bits, settings=SETTINGS)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        found = image.getexif()
        assert found[ExifTags.Base.Make] == "Pentax"
        assert found[ExifTags.Base.Artist].encode("latin-1").decode() == TOLD.artist
        assert found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == TOLD.taken
        assert found[ExifTags.Base.XResolution] == 300
        if suffix != "webp":
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert ExifTags.Base.Orientation not in found
    if suffix == "tif":
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            assert file.pages[0].description == TOLD.description
            assert file.pages[0].tags["Artist"].value == TOLD.artist
            assert file.pages[0].tags["ExifTag"].value["LensModel"] == TOLD.lens


def test_where_it_was_taken_and_how_the_camera_was_held_is_not_passed_on():
    told = exif(Artist="Ada", Orientation=6)
    told.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    picture = open_picture(photo(exif=told))
    assert picture.size == (24, 16)
    for suffix, bits in KINDS:
        with Image.open(io.BytesIO(encode_picture(picture, suffix, bits=bits))) as image:
            image.load()
            assert image.getexif()[ExifTags.Base.Artist] == "Ada"
            assert ExifTags.Base.Orientation not in image.getexif()
            assert not image.getexif().get_ifd(ExifTags.IFD.GPSInfo)


def test_a_photographers_comment_does_not_hide_the_settings():
    told = exif(UserComment=b"ASCII\0\0\0vggapps {not these}", ImageDescription='vggapps {"nor": "these"}')
    picture = open_picture(photo(exif=told))
    assert picture.metadata.description == 'vggapps {"nor": "these"}'
    for suffix, bits in KINDS:
        assert read_settings(encode_picture(picture, suffix, bits=bits, settings=SETTINGS)) == SETTINGS


def test_a_painted_photo_keeps_its_metadata():
    assert Picture(FLAT, metadata=TOLD).with_rgb(1 - FLAT).metadata == TOLD


# What a file has room for


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_quality_is_a_choice_of_jpeg_and_webp(tmp_path, suffix):
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    sizes = [len(encode_picture(noise, suffix, quality=quality)) for quality in (1, 50, 95, 100)]
    assert sizes == sorted(set(sizes))
    assert len(encode_picture(noise, suffix)) == sizes[2]
    path = save_picture(noise, tmp_path / f"a.{suffix}", quality=1)
    assert path.stat().st_size == sizes[0]


def test_quality_elsewhere_and_beyond_is_refused(tmp_path):
    for suffix in ("png", "tiff"):
        with pytest.raises(SettingsError, match="has no quality"):
            save_picture(FLAT, tmp_path / f"a.{suffix}", quality=90)
    for quality in (0, 101, -5, 90.5):
        with pytest.raises(SettingsError, match="integer from 1 to 100"):
            encode_picture(FLAT, "jpg", quality=quality)


@pytest.mark.parametrize(
    ("name", "wish", "word"),
    [
        ("a.png", {"quality": 90}, "no quality"),
        ("a.jpg", {"quality": 0}, "from 1 to 100"),
        ("a.jpg", {"bits": 16}, "16 bits"),
        ("a.jpg", {"size": (10, 65501)}, "65500 per side"),
        ("a.webp", {"size": (16384, 10)}, "16383 per side"),
        ("a.jpg", {"settings": {"styles": "x" * 66_000}}, "JPEG holds at most"),
        ("a.jpg", {"settings": {"a": "x" * 65_000}, "metadata": replace(TOLD, artist="y" * 600)}, "JPEG holds at most"),
        ("a.png", {"settings": {"a": float("nan")}}, "can't be written into a picture"),
        ("a.gif", {}, "not a format"),
    ],
)
def test_what_has_no_room_is_known_before_the_work(tmp_path, name, wish, word):
    with pytest.raises(SettingsError, match=word):
        check_target(tmp_path / name, **wish)


def test_what_has_room_is_let_through(tmp_path):
    wish = {"size": (16, 65500), "settings": {"a": "x" * 60_000}, "metadata": TOLD}
    assert check_target(tmp_path / "a.jpg", quality=80, **wish) == tmp_path / "a.jpg"
    assert check_target(tmp_path / "a.png", size=(10**5, 10**5), settings={"a": "x" * 10**6})
    (tmp_path / "a.png").touch()
    with pytest.raises(OutputExistsError):
        check_target(tmp_path / "a.png")


@pytest.mark.parametrize(("suffix", "bits"), KINDS)
def test_names_that_are_no_unicode_never_cost_the_picture(suffix, bits):
    made_by = {"content": {"name": "caf\udce9.jpg"}, "caf\udce9": ["日本 😀", "half \ud800"]}
    data = encode_picture(FLAT, suffix, bits=bits, settings=made_by)
    assert read_settings(data) == made_by
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (24, 16)


def test_texts_of_any_kind_can_be_written():
    odd = Metadata(artist="caf\udce9", description="line\nbreak", lens="ƒ/2.8 – 日本")
    for suffix, bits in KINDS:
        found = open_picture(encode_picture(Picture(FLAT, metadata=odd), suffix, bits=bits)).metadata
        assert found == replace(odd, artist="caf?")


def test_png_chunks_are_whole():
    data = encode_picture(Picture(FLAT, metadata=TOLD), "png", bits=16, settings=SETTINGS)
    at, kinds = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(body),)
        kinds.append(body[:4])
        at += 12 + length
    assert kinds.index(b"pHYs") < kinds.index(b"IDAT")
    assert b"eXIf" in kinds


def test_errors_name_the_picture(tmp_path):
    with pytest.raises(PictureError, match=r"a\.jpg: .*NaN"):
        save_picture(FLAT * float("nan"), tmp_path / "a.jpg")
