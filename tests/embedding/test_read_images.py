"""Reading images: what is wrong with a file is said with its name, and a folder is what lies inside it."""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cosup.embedding import list_image_files, read_image, read_image_folder
from cosup.utils.validation import CosupError

Image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def save(path, pixels=RGB, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def test_colours_and_greys_come_back_as_they_were(tmp_path):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png")), RGB)
    np.testing.assert_array_equal(read_image(str(save(tmp_path / "b.png", RGB[..., 0]))), RGB[..., 0])
    np.testing.assert_array_equal(read_image(save(tmp_path / "c.png", RGB[..., 0] > 127)), 255 * (RGB[..., 0] > 127))


def test_sixteen_bits_are_cut_to_eight(tmp_path):
    deep = RGB[..., 0].astype(np.uint16) * 257
    np.testing.assert_array_equal(read_image(save(tmp_path / "deep.png", deep)), RGB[..., 0])


def test_transparent_parts_are_laid_on_white(tmp_path):
    alpha = np.zeros(RGB.shape[:2], dtype=np.uint8)
    alpha[:, :10] = 255
    pixels = read_image(save(tmp_path / "a.png", np.dstack([RGB, alpha])))
    np.testing.assert_array_equal(pixels[:, :10], RGB[:, :10])
    assert (pixels[:, 10:] == 255).all()


def test_a_cameras_orientation_is_obeyed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert read_image(save(tmp_path / "a.jpg", exif=exif)).shape == (20, 12, 3)


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "nothing.png").touch()
    with pytest.raises(CosupError, match=r"nothing\.png is empty \(0 bytes\)"):
        read_image(tmp_path / "nothing.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
def test_a_truncated_image_is_said_to_be_cut_short(tmp_path, suffix):
    path = save(tmp_path / f"half.{suffix}", np.tile(RGB, (4, 4, 1)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(CosupError, match=rf"half\.{suffix} is cut short or damaged"):
        read_image(path)


def test_what_is_no_image_is_said_to_be_none(tmp_path):
    (tmp_path / "notes.jpg").write_text("Dear diary")
    with pytest.raises(CosupError, match=r"notes\.jpg is not an image"):
        read_image(tmp_path / "notes.jpg")


def test_missing_files_folders_and_strange_pixels(tmp_path):
    with pytest.raises(CosupError, match=r"gone\.png cannot be read"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(CosupError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(CosupError, match="floating-point"):
        read_image(save(tmp_path / "a.tif", RGB[..., 0].astype(np.float32)))
    with pytest.raises(CosupError, match="beyond 16 bits"):
        read_image(save(tmp_path / "b.tif", RGB[..., 0].astype(np.int32) * 1000))


def test_sixteen_bits_of_colour_are_cut_to_eight(tmp_path):
    # Pillow does not write such files: signature, header, one chunk of pixels, end.
    deep = (RGB.astype(">u2") * 256 + 77).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", RGB.shape[1], RGB.shape[0], 16, 2, 0, 0, 0)
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(read_image(path), RGB)


def test_inks_become_light(tmp_path):
    path = tmp_path / "print.jpg"
    inks = np.zeros((16, 16, 4), dtype=np.uint8)
    inks[..., 1] = 255  # magenta alone
    Image.frombytes("CMYK", (16, 16), inks.tobytes()).save(path)
    np.testing.assert_allclose(read_image(path).astype(int), np.full((16, 16, 3), [255, 0, 255]), atol=3)


def test_a_palette_is_looked_up(tmp_path):
    indexes = (RGB[..., 0] % 3).astype(np.uint8)
    colours = np.array([[255, 0, 0], [10, 20, 30], [0, 0, 255]], dtype=np.uint8)
    picture = Image.fromarray(indexes).convert("P")
    picture.putpalette(colours.tobytes())
    picture.save(tmp_path / "p.png")
    picture.save(tmp_path / "t.png", transparency=1)
    picture.save(tmp_path / "p.gif")
    expected = colours[indexes]
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), expected)
    np.testing.assert_array_equal(read_image(tmp_path / "p.gif"), expected)
    np.testing.assert_array_equal(read_image(tmp_path / "t.png")[indexes == 1], 255)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_pictures_the_first_is_taken(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"film.{suffix}", save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(read_image(tmp_path / f"film.{suffix}"), np.full((6, 8, 3), [255, 0, 0]))


def test_what_a_file_holds_counts_not_what_it_is_called(tmp_path):
    save(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), RGB)


def test_images_are_read_in_threads(tmp_path):
    paths = [save(tmp_path / f"{i}.png", np.roll(RGB, i, axis=1)) for i in range(20)]
    with ThreadPoolExecutor(8) as pool:
        for i, pixels in enumerate(pool.map(read_image, paths * 5)):
            np.testing.assert_array_equal(pixels, np.roll(RGB, i % 20, axis=1))


@pytest.mark.parametrize("pixels", [100, 200])
def test_a_picture_too_large_to_be_one_is_refused(tmp_path, monkeypatch, pixels):
    # From the limit on Pillow warns, from twice the limit on it refuses; the picture has 240.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
    with pytest.raises(CosupError, match=r"a\.png is too large: .*MAX_IMAGE_PIXELS"):
        read_image(save(tmp_path / "a.png"))


def test_a_folder_is_read_in_order(tmp_path):
    for name in ("b/2.PNG", "b/10.jpg", "a.png", "b/c/0.jpeg", ".hidden/x.png", "b/._2.png"):
        save(tmp_path / name, RGB[: len(name)])
    (tmp_path / "notes.txt").write_text("not an image")
    images, names = read_image_folder(tmp_path)
    assert names == ["a.png", "b/10.jpg", "b/2.PNG", "b/c/0.jpeg"]
    assert [len(image) for image in images] == [len(name) for name in names]


def test_a_bad_file_in_a_folder_is_named(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.png").touch()
    with pytest.raises(CosupError, match=r"sub/b\.png is empty"):
        read_image_folder(tmp_path)


def test_links_inside_the_folder_are_fine(tmp_path):
    save(tmp_path / "a" / "1.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a" / "1.png")
    (tmp_path / "again").symlink_to(tmp_path / "a")
    assert list_image_files(tmp_path) == ["a/1.png", "b.png"]


@pytest.mark.parametrize("kind", ["file", "folder", "relative"])
def test_links_that_leave_the_folder_are_refused(tmp_path, kind):
    secret = save(tmp_path / "secret" / "s.png")
    inside = save(tmp_path / "data" / "a.png").parent
    target = {"file": secret, "folder": secret.parent, "relative": "../secret/s.png"}[kind]
    link = inside / ("x" if kind == "folder" else "x.png")
    link.symlink_to(target)
    with pytest.raises(CosupError, match=r"data/x(\.png)? leads out of the folder"):
        read_image_folder(inside)


def test_links_to_nowhere_are_refused(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(CosupError, match="leads nowhere"):
        list_image_files(tmp_path)
    (tmp_path / "b.png").unlink()
    (tmp_path / "b.png").symlink_to(tmp_path / "b.png")
    with pytest.raises(CosupError, match="leads nowhere"):
        list_image_files(tmp_path)


def test_folders_without_images(tmp_path):
    with pytest.raises(CosupError, match="no image in"):
        read_image_folder(tmp_path)
    with pytest.raises(CosupError, match="there is no folder"):
        read_image_folder(tmp_path / "gone")
    with pytest.raises(CosupError, match="is not a folder"):
        read_image_folder(save(tmp_path / "a.png"))
