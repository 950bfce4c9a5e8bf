import errno
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_runet.corrections import journal as journal_module
from napari_runet.corrections import journal_file
from napari_runet.corrections.correction_set import CorrectionSet
from napari_runet.corrections.image_key import ImageKey, content_digest
from napari_runet.corrections.journal import Journal, journals_of_path, recover, recover_earlier
from napari_runet.corrections.journal_file import JournalFile
from napari_runet.corrections.journal_format import MAGIC, decode, encode_change, encode_header
from napari_runet.images.image_input import Region
from napari_runet.io import atomic

KEY = ImageKey("/pictures/eye.tif", "ab" * 32)


def strokes(count, shape=(40, 50), seed=0, index=()):
    """Changes, and the sets after each."""
    rng = np.random.default_rng(seed)
    corrections, layer = CorrectionSet(shape, index), np.zeros(shape, np.uint8)
    changes, states = [], []
    for number in range(count):
        after = layer.copy()
        y, x = rng.integers(0, 30, 2)
        after[y : y + 6, x : x + 9] = 1 + number % 2
        change = corrections.update_from_difference(layer, after, "stroke")
        if change is not None:
            changes.append(change)
            states.append((corrections.labels.copy(), corrections.flags.copy()))
        layer = after
    return changes, states


def assert_recovered(folder, state, index=()):
    planes, problems = recover(KEY, folder)
    assert not problems
    assert np.array_equal(planes[index, state[0].shape].labels, state[0])
    assert np.array_equal(planes[index, state[0].shape].flags, state[1])


def test_what_was_appended_is_recovered_exactly(tmp_path):
    changes, states = strokes(8)
    other, other_states = strokes(3, seed=9, index=(4,))
    regions = CorrectionSet((5, 6), (7,))
    lasso = Region(1, 1, 3, 4, np.eye(3, 4, dtype=bool))
    reviewed = regions.review(lasso, np.ones((5, 6), np.uint8))
    journal = Journal(KEY, tmp_path)
    for change in [*changes, *other, reviewed]:
        journal.append(change)
    assert journal.flush(20)
    assert_recovered(tmp_path, states[-1])
    assert journal.close()
    assert_recovered(tmp_path, states[-1])
    assert_recovered(tmp_path, other_states[-1], (4,))
    planes, _ = recover(KEY, tmp_path)
    assert np.array_equal(planes[(7,), (5, 6)].regions[0].mask, lasso.mask)
    assert np.array_equal(planes[(7,), (5, 6)].labels, regions.labels)


def test_a_last_record_cut_off_at_any_byte_leaves_all_earlier_ones(tmp_path):
    changes, states = strokes(4)
    records = [encode_change(change) for change in changes]
    whole = encode_header(KEY) + b"".join(records)
    path = tmp_path / f"{KEY.name}.journal"
    for cut in range(1, len(records[-1]) + 1):
        path.write_bytes(whole[:-cut])
        assert_recovered(tmp_path, states[-2])
    path.write_bytes(whole)
    assert_recovered(tmp_path, states[-1])
    for position in range(len(whole) - len(records[-1]), len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        assert_recovered(tmp_path, states[-2])


def test_corrections_of_a_file_whose_name_is_no_text_are_kept(tmp_path):
    key = ImageKey(os.fsdecode(b"/pictures/caf\xe9.tif"), "ab" * 32)
    changes, states = strokes(2)
    journal = Journal(key, tmp_path)
    for change in changes:
        journal.append(change)
    assert journal.close()
    planes, _ = recover(key, tmp_path)
    assert [np.array_equal(plane.labels, states[-1][0]) for plane in planes.values()] == [True]


def test_writing_goes_on_after_a_cut_off_record(tmp_path):
    changes, states = strokes(4)
    whole = encode_header(KEY) + b"".join(encode_change(change) for change in changes[:-1])
    (tmp_path / f"{KEY.name}.journal").write_bytes(whole[:-5])
    journal = Journal(KEY, tmp_path)
    journal.append(changes[-2])
    journal.append(changes[-1])
    assert journal.close()
    assert_recovered(tmp_path, states[-1])


def test_what_follows_a_damaged_record_is_kept_also_when_writing_goes_on(tmp_path):
    changes = [
        CorrectionSet((6, 6), (plane,)).review(Region(0, 0, 3, 3), np.ones((6, 6), np.uint8)) for plane in range(5)
    ]
    records = [encode_change(change) for change in changes[:-1]]
    damaged = bytearray(encode_header(KEY) + b"".join(records))
    damaged[len(damaged) - len(records[-1]) - len(records[-2]) - 1] ^= 0xFF  # in the second of the four
    path = tmp_path / f"{KEY.name}.journal"
    path.write_bytes(damaged)
    journal = Journal(KEY, tmp_path)
    assert {index for index, _ in journal.planes} == {(0,), (2,), (3,)}
    journal.append(changes[-1])
    assert journal.close()
    assert {index for index, _ in recover(KEY, tmp_path)[0]} == {(0,), (2,), (3,), (4,)}


def test_a_damaged_start_is_said_whatever_follows_it(tmp_path):
    changes, _ = strokes(2)
    raw = bytearray(encode_header(KEY) + b"".join(encode_change(change) for change in changes))
    raw[len(encode_header(KEY)) - 1] ^= 0xFF
    (tmp_path / f"{KEY.name}.journal").write_bytes(raw)
    planes, problems = recover(KEY, tmp_path)
    assert not planes and "start of the journal of corrections is damaged" in problems[0]


def test_a_journal_of_a_newer_version_is_left_untouched_and_painting_kept_beside_it(tmp_path):
    changes, states = strokes(2)
    raw = bytearray(encode_header(KEY) + encode_change(changes[0]))
    raw[len(MAGIC)] = 2
    newer = tmp_path / f"{KEY.name}.journal"
    newer.write_bytes(raw)
    journal = Journal(KEY, tmp_path)
    assert "newer version" in journal.problems[0] and str(newer) in journal.problems[0]
    for change in changes:
        journal.append(change)
    assert journal.close()
    assert newer.read_bytes() == raw
    planes, _ = recover(KEY, tmp_path)
    assert np.array_equal(planes[(), (40, 50)].labels, states[-1][0])


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    (tmp_path / f"{KEY.name}.journal").write_bytes(b"something else")
    journal = Journal(KEY, tmp_path)
    assert "no journal" in journal.problems[0]
    changes, _ = strokes(1)
    journal.append(changes[0])
    assert journal.close()
    assert (tmp_path / f"{KEY.name}.journal").read_bytes() == b"something else"


def test_two_writers_on_one_image_keep_a_file_each_and_the_next_gets_both(tmp_path):
    changes, _ = strokes(2)
    first, second = Journal(KEY, tmp_path), Journal(KEY, tmp_path)
    top, bottom = CorrectionSet((40, 50)), CorrectionSet((40, 50))
    before, after = np.zeros((40, 50), np.uint8), np.ones((40, 50), np.uint8)
    half = before.copy()
    half[:20] = 1
    first.append(top.update_from_difference(before, half, "stroke"))
    assert first.flush(20)
    second.append(bottom.update_from_difference(half, after, "stroke"))
    assert second.flush(20)
    assert len(list(tmp_path.glob("*.journal"))) == 2
    assert first.close() and second.close()
    third = Journal(KEY, tmp_path)
    assert (third.planes[(), (40, 50)].labels == 1).all()
    third.append(changes[0])
    assert third.close()
    assert len(list(tmp_path.glob("*.journal"))) == 1
    assert (recover(KEY, tmp_path)[0][(), (40, 50)].labels != 255).all()


def test_a_long_journal_is_compacted_to_the_same_content(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_file, "COMPACT_FROM_BYTES", 2000)
    changes, states = strokes(60)
    file = JournalFile(tmp_path, KEY)
    written = len(encode_header(KEY))
    for change in changes:
        file.append([change])
        written += len(encode_change(change))
        file.compact_if_long()
    file.close()
    assert file.path.stat().st_size < written / 2
    assert_recovered(tmp_path, states[-1])


def test_writing_goes_on_after_a_compaction_that_was_done_and_not_confirmed(tmp_path, monkeypatch):
    changes, states = strokes(60)
    file = JournalFile(tmp_path, KEY)
    file.append(changes[:-1])
    monkeypatch.setattr(journal_file, "COMPACT_FROM_BYTES", 1)
    file._compact_from = 1
    monkeypatch.setattr(atomic, "_make_name_last", _no_space)  # the new file has its name by then
    file.compact_if_long()
    assert len(decode(file.path.read_bytes()).changes) == 1
    file.append(changes[-1:])
    file.close()
    assert_recovered(tmp_path, states[-1])


def test_journals_that_could_not_be_absorbed_are_let_go_of(tmp_path, monkeypatch):
    changes, states = strokes(2)
    other = JournalFile(tmp_path, KEY)
    file = JournalFile(tmp_path, KEY)
    other.append(changes[:1])
    other.close()
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(OSError, match="No space"):
        file.absorb_others()
    monkeypatch.undo()
    file.absorb_others()
    file.append(changes[1:])
    file.close()
    assert len(list(tmp_path.glob("*.journal"))) == 1
    assert_recovered(tmp_path, states[-1])


def test_a_failed_append_leaves_nothing_behind_and_can_be_repeated(tmp_path, monkeypatch):
    changes, states = strokes(3)
    file = JournalFile(tmp_path, KEY)
    file.append(changes[:1])
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(OSError, match="No space"):
        file.append(changes[1:2])
    monkeypatch.undo()
    file.append(changes[1:])
    file.close()
    assert_recovered(tmp_path, states[-1])
    assert len(decode(file.path.read_bytes()).changes) == 3


def _no_space(descriptor):
    raise OSError(28, "No space left on device")


def test_writing_goes_on_although_nobody_can_be_told_of_a_problem(tmp_path, monkeypatch):
    changes, states = strokes(2)
    told = threading.Event()

    def tell(sentence):
        told.set()
        raise RuntimeError("the window is gone")

    monkeypatch.setattr(os, "fsync", _no_space)
    journal = Journal(KEY, tmp_path, tell)
    journal.append(changes[0])
    assert told.wait(20) and not journal.flush(20)  # the try that was told of has ended
    monkeypatch.undo()
    journal.append(changes[1])
    assert journal.flush(20) and journal.close()
    assert_recovered(tmp_path, states[-1])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_what_was_painted_meanwhile_is_saved_later(small_disk):
    changes, states = strokes(5)
    told, problems = threading.Event(), []
    journal = Journal(KEY, small_disk, lambda sentence: (problems.append(sentence), told.set()))
    journal.append(changes[0])
    assert journal.flush(20)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        while True:
            stream.write(bytes(512))
    told.clear()
    noise = CorrectionSet((300, 300), (1,))
    random = np.random.default_rng(0).integers(0, 2, (300, 300)).astype(np.uint8)
    journal.append(noise.update_from_difference(np.zeros_like(random), random, "stroke"))
    for change in changes[1:]:
        journal.append(change)
    assert told.wait(20)
    assert "cannot be saved" in problems[-1] and "No space" in problems[-1]
    assert not journal.flush(20)
    assert_recovered(small_disk, states[0])
    filler.unlink()
    assert journal.flush(20)
    assert problems[-1] == ""
    assert journal.close()
    assert_recovered(small_disk, states[-1])
    assert np.array_equal(recover(KEY, small_disk)[0][(1,), noise.shape].labels, noise.labels)


CHILD = """
    import sys, time
    import numpy as np
    from pathlib import Path
    from napari_runet.corrections.correction_set import CorrectionSet
    from napari_runet.corrections.image_key import ImageKey
    from napari_runet.corrections.journal import Journal

    journal = Journal(ImageKey("/pictures/eye.tif", "ab" * 32), Path(sys.argv[1]), print)
    corrections, layer = CorrectionSet((64, 64)), np.zeros((64, 64), np.uint8)
    for number in range(100_000):
        after = layer.copy()
        after[number % 64, number // 64 % 64] = 1 + number // 4096 % 2
        journal.append(corrections.update_from_difference(layer, after, "stroke"))
        layer = after
        if number < 50 or number % 7 == 0:
            journal.flush()
            print(number, flush=True)
"""


def test_after_kill_nine_every_stroke_that_was_on_disk_is_there(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        last = -1
        for line in child.stdout:
            last = int(line)
            if last >= 120:
                child.kill()
                break
        rest = child.stdout.read().split()
    last = int(rest[-1]) if rest and rest[-1].isdigit() else last
    labels = recover(KEY, tmp_path)[0][(), (64, 64)].labels
    painted = [number for number in range(4096) if labels[number % 64, number // 64] == 1]
    assert painted == list(range(len(painted)))
    assert len(painted) > last


READ_ONLY_CHILD = """
    import os, sys, threading
    import numpy as np
    from pathlib import Path
    from napari_runet.corrections.correction_set import CorrectionSet
    from napari_runet.corrections.image_key import ImageKey
    from napari_runet.corrections.journal import Journal

    if os.getuid() == 0:
        os.setuid(65534)  # nothing is read-only for root
    told = threading.Event()
    def note(sentence):
        print("SAID", sentence, flush=True)
        told.set()
    journal = Journal(ImageKey("/pictures/eye.tif", "ab" * 32), Path(sys.argv[1]), note)
    corrections = CorrectionSet((8, 8))
    journal.append(corrections.update_from_difference(np.zeros((8, 8), np.uint8), np.eye(8, dtype=np.uint8)))
    assert told.wait(20)
    input()
    print(journal.flush(20), journal.close(), flush=True)
"""


def test_a_read_only_folder_is_said_at_once_and_saving_goes_on_when_it_is_writable():
    with tempfile.TemporaryDirectory() as name:
        outer, folder = Path(name), Path(name) / "corrections"
        outer.chmod(0o755)
        folder.mkdir()
        folder.chmod(0o555)
        command = [sys.executable, "-c", textwrap.dedent(READ_ONLY_CHILD), str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            said = child.stdout.readline()
            assert said.startswith("SAID") and "cannot be saved" in said
            assert list(folder.iterdir()) == []
            folder.chmod(0o777)
            out, _ = child.communicate("\n")
        assert "True True" in out
        folder.chmod(0o755)
        assert np.array_equal(recover(KEY, folder)[0][(), (8, 8)].labels == 1, np.eye(8, dtype=bool))


def test_a_folder_that_cannot_be_looked_into_is_said_and_what_is_painted_is_saved_nevertheless(tmp_path, monkeypatch):
    changes, states = strokes(2)

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(journal_module, "journals_of", refuse)
    journal = Journal(KEY, tmp_path)
    assert "Permission denied" in journal.problems[0]
    monkeypatch.undo()
    for change in changes:
        journal.append(change)
    assert journal.close()
    assert_recovered(tmp_path, states[-1])


def test_an_image_file_that_was_changed_since_has_another_key_but_is_found_by_its_path(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (50, 60), dtype=np.uint8)
    before = ImageKey.of(pixels, "/pictures/eye.tif")
    changed = pixels.copy()
    changed[3, 4] ^= 1
    after = ImageKey.of(changed, "/pictures/eye.tif")
    changes, _ = strokes(2)
    journal = Journal(before, tmp_path)
    journal.append(changes[-1])
    assert journal.close()
    assert after != before
    assert recover(after, tmp_path) == ({}, [])
    assert [key for key, _ in journals_of_path("/pictures/eye.tif", tmp_path)] == [before]
    (earlier,) = recover_earlier(after, tmp_path).values()
    expected = CorrectionSet((40, 50))
    expected.apply(changes[-1])
    assert earlier.flags.any() and np.array_equal(earlier.labels, expected.labels)
    assert recover_earlier(before, tmp_path) == {} == recover_earlier(ImageKey("", after.content), tmp_path)


def test_planes_of_another_shape_are_kept_apart(tmp_path):
    """An image that is read along other axes has other planes; neither reading forgets what the other knew."""
    (first, *_), _ = strokes(1)
    (second, *_), _ = strokes(1, shape=(30, 60), seed=2)
    journal = Journal(KEY, tmp_path)
    for change in (first, second, first):
        journal.append(change)
    assert journal.close()
    assert set(recover(KEY, tmp_path)[0]) == {((), (40, 50)), ((), (30, 60))}


def test_the_content_of_a_large_array_is_read_by_blocks_only():
    class Lazy:
        shape, dtype = (3, 20_000, 30_000, 2), np.dtype(np.uint16)
        read = 0

        def __getitem__(self, key):
            part = np.zeros([s.stop - s.start for s in key], self.dtype)
            Lazy.read += part.nbytes
            return part + np.uint16(key[1].start % 7)

    assert content_digest(Lazy()) == content_digest(Lazy())
    assert 0 < Lazy.read < 10_000_000
    assert content_digest(np.zeros((4, 4), np.uint8)) != content_digest(np.zeros((4, 4), np.int8))
    assert content_digest(np.zeros((2, 8), np.uint8)) != content_digest(np.zeros((4, 4), np.uint8))


def test_appending_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    gate = threading.Event()
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (gate.wait(20), real(descriptor)))
    changes, states = strokes(5)
    journal = Journal(KEY, tmp_path)
    for change in changes:
        journal.append(change)  # returns although nothing can be written yet
    assert not journal.flush(0.2)
    gate.set()
    assert journal.close()
    assert_recovered(tmp_path, states[-1])
