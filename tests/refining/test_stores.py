"""What holds for folders holds for stores: the same files; nothing lost, mixed, half or outside."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import write_pile

import simrefine
from simrefine.addresses import Url, place
from simrefine.cli import main
from simrefine.data.folders import MANIFEST, REJECTS
from simrefine.data.images import Picture, encode_picture
from simrefine.data.masks import MaskFolder
from simrefine.errors import EXIT_USER_ERROR, UserError
from simrefine.files import TEMPORARY_PREFIX
from simrefine.refining import stores
from simrefine.refining.folder import refine_folder
from simrefine.refining.stores import refine_store, way_between

fsspec = pytest.importorskip("fsspec", reason="the extra [store] is not installed")
RENDERS, REFINED = Url("memory://renders"), Url("memory://deep/refined")


class Brighter:
    """Adds ten gray levels, after looking into the temporary folder."""

    def __init__(self, fingerprint="f" * 64, look=lambda: None):
        self.channels, self.fingerprint, self._look, self.pictures = 3, fingerprint, look, 0
        self.masks = None
        self.about = {"model": "/runs/001", "step": 4, "seed": 0, "scale": "own"}

    def __call__(self, images):
        self._look()
        self.pictures += len(images)
        return images + np.uint8(10)


def put(path, seed=0, extension=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 240, (20, 24, 3), dtype=np.uint8)
    path.write_bytes(encode_picture(Picture(pixels), extension or path.suffix))


@pytest.fixture
def renders(tmp_path):
    """A folder with all that a refinement tells apart."""
    folder = tmp_path / "renders"
    for seed, name in enumerate(["a.png", "b.jpg", "b.jpg.png", "sub/a.png", "sub/deep/b.bmp", "sub/[x]*.webp"]):
        put(folder / name, seed)
    put(folder / "sub-masks" / "a.png", 7)
    put(folder / "earlier" / "a.png", 8)
    (folder / "earlier" / MANIFEST).write_text("{}")
    (folder / ".hidden").mkdir()
    put(folder / ".hidden" / "a.png", 9)
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "scan.tif").write_bytes(b"II*\0")
    (folder / "labels.json").write_bytes(b'{"a.png": [1, 2]}\r\n')
    (folder / "empty.csv").touch()
    (folder / "sub" / "a.pts").write_bytes(bytes(range(256)))
    (folder / "rejects.csv").write_text("of an earlier refinement")
    return folder


@pytest.fixture(autouse=True)
def memory(monkeypatch, tmp_path):
    """fsspec's store in memory, empty; parts of two pictures, which go through a temporary folder of the test's own."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    monkeypatch.setattr(stores, "PART_FILES", 2)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield store
    assert not list((tmp_path / "tmp").glob(f"{TEMPORARY_PREFIX}*")), "nothing is left in the temporary folder"


def upload(folder: Path, url: Url) -> Url:
    store, root = fsspec.core.url_to_fs(url)
    for name, content in tree(folder).items():
        store.pipe_file(f"{root}/{name}", content)
    return url


def tree(address) -> dict[str, bytes]:
    """Every file below a folder of this machine, or of a store."""
    if isinstance(address, Path):
        paths = [path for path in address.rglob("*") if path.is_file()]
        return {path.relative_to(address).as_posix(): path.read_bytes() for path in paths}
    store, root = fsspec.core.url_to_fs(address)
    store.invalidate_cache()
    return {path[len(root) + 1 :]: store.cat_file(path) for path in store.find(root)}


def change(store, path, content, seconds=10):
    """Writes an object that is newer than what was made of it."""
    store.pipe_file(path, content)
    store.store[path].created = store.store[path].created.fromtimestamp(time.time() + seconds)


OPTIONS = {"copy": ["*-masks"], "compare": True, "batch_size": 2, "threads": 2}


@pytest.mark.parametrize("way", ["store to store", "store to disk", "disk to store"])
def test_what_comes_out_is_what_a_run_on_this_machine_gives_to_the_byte(renders, tmp_path, way):
    whole = refine_folder(Brighter(), renders, tmp_path / "whole", **OPTIONS)
    source = renders if way.startswith("disk") else upload(renders, RENDERS)
    target = tmp_path / "out" if way.endswith("disk") else REFINED
    seen = []
    summary = refine_store(Brighter(), source, target, progress=lambda *now: seen.append(now), **OPTIONS)
    assert tree(target) == tree(tmp_path / "whole")
    assert {"a.png", "sub-masks/a.png", "_compare/b.jpg.png.png", REJECTS, MANIFEST} <= set(tree(target))
    for name in ("found", "written", "skipped", "rejected", "left", "labels_copied", "labels_rejected", "sizes"):
        assert getattr(summary, name) == getattr(whole, name), name
    assert summary.rejects == whole.rejects and summary.mean_change == pytest.approx(whole.mean_change)
    assert seen == sorted(seen) and seen[-1] == (whole.found, whole.found)


def test_links_of_a_folder_are_followed_or_named_as_on_this_machine(renders, tmp_path):
    put(tmp_path / "elsewhere.png", 5)
    (renders / "link.png").symlink_to(tmp_path / "elsewhere.png")
    (renders / "dead.png").symlink_to("nowhere")
    (renders / "secret.txt").symlink_to(tmp_path / "elsewhere.png")
    (renders / "linked").symlink_to(tmp_path)
    refine_folder(Brighter(), renders, tmp_path / "whole")
    summary = refine_store(Brighter(), renders, REFINED)
    assert tree(REFINED) == tree(tmp_path / "whole") and summary.linked == 1


def test_a_rerun_does_only_what_is_missing_or_older_than_its_render(renders, memory):
    upload(renders, RENDERS)
    first = refine_store(Brighter(), RENDERS, REFINED, compare=True)
    before = tree(REFINED)
    idle = Brighter()
    again = refine_store(idle, RENDERS, REFINED, compare=True)
    assert (again.written, again.skipped, again.labels_copied, idle.pictures) == (0, first.written, 0, 0)
    assert tree(REFINED) == before

    memory.rm_file("/deep/refined/sub/a.png")
    memory.rm_file("/deep/refined/_compare/a.png")
    memory.pipe_file("/deep/refined/b.jpg", b"")
    put(renders / "sub" / "deep" / "b.bmp", 77)
    change(memory, "/renders/sub/deep/b.bmp", (renders / "sub" / "deep" / "b.bmp").read_bytes())
    change(memory, "/renders/labels.json", b'{"a.png": [9, 2]}\r\n')
    change(memory, "/renders/sub/a.pts", b"another size", seconds=-1000)
    again = refine_store(Brighter(), RENDERS, REFINED, compare=True)
    assert (again.written, again.labels_copied) == (4, 2)
    after = tree(REFINED)
    assert {name for name in after if after[name] != before[name]} == {
        "sub/deep/b.bmp",
        "_compare/sub/deep/b.bmp.png",
        "labels.json",
        "sub/a.pts",
    }


def test_times_of_two_stores_are_compared_in_whole_seconds(renders, memory):
    put(renders / "a.png")
    os.utime(renders / "a.png", (1000.9, 1000.9))
    only = {"exclude": ["sub*", "b.jpg*"]}
    refine_store(Brighter(), renders, REFINED, **only)
    made = memory.store["/deep/refined/a.png"]
    made.created = made.created.fromtimestamp(1000)  # as a store dates it that knows no fractions
    assert refine_store(Brighter(), renders, REFINED, **only).written == 0
    made.created = made.created.fromtimestamp(999)
    assert refine_store(Brighter(), renders, REFINED, **only).written == 1


def test_a_folder_of_another_refiner_or_of_other_files_is_refused_unless_it_is_replaced(renders, memory):
    upload(renders, RENDERS)
    refine_store(Brighter(), RENDERS, REFINED, compare=True)
    before, other = tree(REFINED), Brighter(fingerprint="0" * 64)
    for refiner, options in ((other, {}), (Brighter(), {"strength": 0.5})):
        with pytest.raises(UserError, match=r"memory://deep/refined holds pictures of another (refiner|strength)"):
            refine_store(refiner, RENDERS, REFINED, **options)
    assert tree(REFINED) == before
    memory.pipe_file("/thesis/thesis.tex", b"another program's")
    with pytest.raises(UserError, match="did not write"):
        refine_store(other, RENDERS, Url("memory://thesis"))
    assert refine_store(other, RENDERS, REFINED, strength=0, overwrite=True).written == 7
    assert not [name for name in tree(REFINED) if name.startswith("_compare")], "no stale comparison is left"
    assert refine_store(other, RENDERS, REFINED, strength=0).skipped == 7


def test_an_overwrite_that_stops_midway_leaves_nothing_of_the_first_refiner(renders):
    upload(renders, RENDERS)
    refine_store(Brighter(), RENDERS, REFINED)
    other = Brighter(fingerprint="0" * 64, look=lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        refine_store(other, RENDERS, REFINED, overwrite=True)
    assert refine_store(Brighter(fingerprint="0" * 64), RENDERS, REFINED).written == 7


def test_of_two_refiners_that_begin_at_once_one_gets_the_folder(renders, monkeypatch):
    upload(renders, RENDERS)
    check, other = stores._check_owner, Brighter(fingerprint="0" * 64)

    def late(*arguments):
        check(*arguments)
        monkeypatch.undo()
        refine_store(other, RENDERS, REFINED)

    monkeypatch.setattr(stores, "_check_owner", late)
    with pytest.raises(UserError, match="another refiner"):
        refine_store(Brighter(), RENDERS, REFINED)


def test_shards_together_do_exactly_the_whole(renders, tmp_path, memory):
    upload(renders, RENDERS)
    refine_folder(Brighter(), renders, tmp_path / "whole", **OPTIONS)
    summaries = [refine_store(Brighter(), RENDERS, REFINED, shard=(part, 3), **OPTIONS) for part in (3, 1, 2)]
    assert sum(summary.written for summary in summaries) == 6
    assert sum(summary.found for summary in summaries) == 8 > max(summary.found for summary in summaries)
    lists = {name for name in tree(REFINED) if name.startswith("rejects")}
    assert lists == {f"rejects-{part}-of-3.csv" for part in (1, 2, 3)}
    rejects = {reject for summary in summaries for reject in summary.rejects}
    stores.leave_rejects(REFINED, sorted(rejects, key=lambda reject: reject.relative), 3)
    assert tree(REFINED) == tree(tmp_path / "whole")
    with pytest.raises(UserError, match="--overwrite and --shard"):
        refine_store(Brighter(), RENDERS, REFINED, shard=(1, 2), overwrite=True)


def test_what_is_asked_to_stop_leaves_the_rest_to_the_next_time_and_fetches_none_of_it(tmp_path, memory, monkeypatch):
    for number in range(20):
        put(tmp_path / "in" / f"{number:02}.png", number)
    (tmp_path / "in" / "labels.csv").write_text("file,label\n")
    upload(tmp_path / "in", RENDERS)
    work, fetched, refiner = type(memory).get_file, [], Brighter()
    monkeypatch.setattr(type(memory), "get_file", lambda *given, **how: fetched.append(given) or work(*given, **how))
    options = {"batch_size": 1, "threads": 1}
    summary = refine_store(refiner, RENDERS, REFINED, stopped=lambda: refiner.pictures >= 3, **options)
    assert (summary.written, summary.left) == (3, 17), "it stops in the middle of a part"
    assert "labels.csv" in tree(REFINED) and len(fetched) <= 10
    again = refine_store(Brighter(), RENDERS, REFINED, **options)
    assert (again.skipped, again.written, again.left) == (3, 17, 0)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError])
def test_a_break_midway_keeps_the_parts_that_are_done(renders, fault):
    upload(renders, RENDERS)
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 3:
            raise fault("stopped here")

    with pytest.raises(fault):
        refine_store(Brighter(look=look), RENDERS, REFINED, batch_size=1)
    done = [name for name in tree(REFINED) if name.endswith((".png", ".jpg"))]
    assert done
    assert refine_store(Brighter(), RENDERS, REFINED).skipped == len(done)


def test_no_more_than_three_parts_are_on_the_disk(tmp_path):
    for number in range(20):
        put(tmp_path / "in" / f"{number:02}.png", number)
    upload(tmp_path / "in", RENDERS)
    held = []
    refiner = Brighter(look=lambda: held.append(len(list((tmp_path / "tmp").rglob("in/*.png")))))
    assert refine_store(refiner, RENDERS, REFINED).written == 20
    assert len(held) == 10 and max(held) <= 3 * 2


def test_a_part_is_also_bounded_in_bytes():
    parts = stores._in_parts(["a", "b", "c", "d"], {"a": 1, "b": 2**30, "c": 1, "d": 2}.get)
    assert list(parts) == [["a"], ["b"], ["c", "d"]]


def test_leftovers_of_a_killed_run_are_removed(renders, tmp_path):
    upload(renders, RENDERS)
    left = tmp_path / "tmp" / f"{TEMPORARY_PREFIX}0123" / "0" / "in"
    left.mkdir(parents=True)
    refine_store(Brighter(), RENDERS, REFINED)  # the fixture looks


def test_a_name_that_no_store_can_have_is_named_and_stops_nothing(renders):
    put(renders / os.fsdecode(b"latin-\xff.png"))
    summary = refine_store(Brighter(), renders, REFINED)
    assert summary.written == 7 and summary.labels_rejected == 1


def test_an_output_inside_of_the_input_is_not_read_and_the_other_way_round_is_refused(renders, memory):
    upload(renders, RENDERS)
    inside = RENDERS / "out"
    first = refine_store(Brighter(), RENDERS, inside)
    again = refine_store(Brighter(), RENDERS, inside)
    assert (again.skipped, again.labels_copied) == (first.written, 0)
    memory.rm_file("/renders/out/simrefine.json")  # as an overwrite leaves it that was killed
    assert refine_store(Brighter(), RENDERS, inside, overwrite=True).found == first.found
    for folder, out in ((RENDERS, RENDERS), (RENDERS / "sub", RENDERS), (RENDERS, Url("memory://renders/"))):
        with pytest.raises(UserError, match="is the input folder|lies inside the output folder"):
            refine_store(Brighter(), folder, out, overwrite=True)


class Lost(OSError):
    """What a store raises when the line is cut."""


@pytest.mark.parametrize("method", ["ls", "get_file", "put_file", "pipe_file", "size"])
def test_a_fault_of_the_store_is_one_message_and_the_same_command_goes_on(
    renders, tmp_path, memory, monkeypatch, method
):
    upload(renders, RENDERS)
    refine_folder(Brighter(), renders, tmp_path / "whole")
    work, calls = getattr(type(memory), method), []

    def cut(*arguments, **options):
        calls.append(1)
        if len(calls) > (6 if method.endswith("_file") and method != "pipe_file" else 0):
            raise Lost("the line was cut")
        return work(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), method, cut)
        with pytest.raises(UserError, match=r"memory://\S+: the line was cut.*the same command goes on"):
            refine_store(Brighter(), RENDERS, REFINED)
    assert all(content == tree(tmp_path / "whole")[name] for name, content in tree(REFINED).items())
    refine_store(Brighter(), RENDERS, REFINED)
    assert tree(REFINED) == tree(tmp_path / "whole")


def test_a_folder_of_a_store_that_cannot_be_listed_is_not_passed_over(renders, memory, monkeypatch):
    upload(renders, RENDERS)
    work = type(memory).ls

    def forbidden(self, path, *arguments, **options):
        if str(path).endswith("sub"):
            raise PermissionError("not yours")
        return work(self, path, *arguments, **options)

    monkeypatch.setattr(type(memory), "ls", forbidden)
    with pytest.raises(UserError, match="not yours. check the credentials"):
        refine_store(Brighter(), RENDERS, REFINED)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("memory://nowhere", "memory://nowhere holds no picture"),
        ("nosuch://bucket/renders", "check the part before ://"),
        ("abfs://bucket/renders", "needs a package that is not there.*pip install"),
    ],
)
def test_an_address_that_leads_nowhere_is_a_users_mistake(folder, message):
    with pytest.raises(UserError, match=message):
        refine_store(Brighter(), Url(folder), REFINED)
    assert not tree(REFINED)


def test_single_pictures_and_several_folders_do_not_go_with_a_store(renders):
    for inputs in ([renders / "a.png"], [RENDERS, renders]):
        with pytest.raises(UserError, match="name one folder"):
            way_between(inputs, REFINED)


def test_addresses_of_this_machine_are_paths():
    assert place("file:///a/b") == place("local:///a/b") == place("/a/b") == Path("/a/b")
    assert isinstance(place("s3://bucket/a"), Url) and place("s3://bucket/a/") / "b" == "s3://bucket/a/b"


@pytest.fixture(scope="module")
def server():
    """A server of this machine that speaks S3, and what the environment says of it."""
    moto = pytest.importorskip("moto.server", reason="moto, which plays the S3 server, is not installed")
    pytest.importorskip("s3fs", reason="the extra [store] is not installed")
    s3 = moto.ThreadedMotoServer(port=0, verbose=False)
    s3.start()
    address = "http://{}:{}".format(*s3.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ({"AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_DISABLED": "true"} | keys).items():
            patch.setenv(name, value)
        yield
    s3.stop()


@pytest.fixture
def bucket(server):
    """A new bucket."""
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    name = f"bucket-{time.time_ns()}"
    store.mkdir(name)
    return Url(f"s3://{name}")


def test_a_bucket_of_s3_gives_what_a_run_on_this_machine_gives(renders, tmp_path, bucket):
    refine_folder(Brighter(), renders, tmp_path / "whole", **OPTIONS)
    upload(renders, bucket / "renders")
    first = refine_store(Brighter(), bucket / "renders", bucket / "refined", **OPTIONS)
    assert tree(bucket / "refined") == tree(tmp_path / "whole")
    again = refine_store(Brighter(), bucket / "renders", bucket / "refined", **OPTIONS)
    assert (again.written, again.skipped, again.labels_copied) == (0, first.written, 0)
    with pytest.raises(UserError, match="another refiner"):
        refine_store(Brighter(fingerprint="0" * 64), bucket / "renders", bucket / "refined")
    assert refine_store(Brighter(), bucket / "renders", bucket / "refined", overwrite=True, **OPTIONS).written == 6
    assert tree(bucket / "refined") == tree(tmp_path / "whole")


def test_an_object_whose_name_leads_out_or_fits_no_folder_is_named_and_stops_nothing(tmp_path, bucket):
    put(tmp_path / "in" / "a.png")
    content, (store, root) = (tmp_path / "in" / "a.png").read_bytes(), fsspec.core.url_to_fs(bucket / "renders")
    odd, good = ["../../../out.png", "sub//a.png", "sub/./b.png", "a.png"], ["a[1]*.png", "%d$(x)+.png", "ü 顔.png"]
    for name in (*odd, *good, "a.png/below.png", "folder/"):
        store.pipe_file(f"{root}/{name}", content)
    before = set(tmp_path.rglob("*"))
    for overwrite in (False, True):  # which removes what it made, and no name is taken for a pattern
        summary = refine_store(Brighter(), bucket / "renders", bucket / "refined", overwrite=overwrite)
        assert {reject.relative for reject in summary.rejects} == set(odd)
        assert (summary.written, summary.labels_rejected) == (4, 4)
    assert set(tree(bucket / "refined")) == {*good, "a.png/below.png", MANIFEST, REJECTS}
    assert set(tmp_path.rglob("*")) == before


def test_a_bucket_that_is_not_there_is_a_users_mistake(renders, bucket):
    upload(renders, bucket / "renders")
    for folder, out in (
        (Url("s3://no-such-bucket/a"), bucket / "out"),
        (bucket / "renders", Url("s3://no-such-bucket/a")),
    ):
        with pytest.raises(UserError, match="no-such-bucket/a.*(bucket|holds no picture)"):
            refine_store(Brighter(), folder, out)


def test_without_credentials_or_a_server_there_is_one_message(renders, server, monkeypatch):
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    S3FileSystem.clear_instance_cache()
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(UserError, match=r"s3://bucket/out: .*127\.0\.0\.1:9.*the connection"):
            refine_store(Brighter(), renders, Url("s3://bucket/out"))
    S3FileSystem.clear_instance_cache()
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)
        with pytest.raises(UserError, match="s3://bucket/out: .*check the credentials"):
            refine_store(Brighter(), renders, Url("s3://bucket/out"))
    S3FileSystem.clear_instance_cache()


def test_masks_are_refused_beside_a_store(tmp_path):
    refiner = Brighter()
    refiner.masks = MaskFolder(tmp_path, {})
    with pytest.raises(UserError, match="cannot be used with a store"):
        refine_store(refiner, RENDERS, REFINED)


SLOW = """
import sys, time
import numpy as np
from simrefine.addresses import place
from simrefine.refining import stores

class Slow:
    channels, fingerprint, masks = 3, "f" * 64, None
    about = {"model": "/runs/001", "step": 4, "seed": 0, "scale": "own"}
    def __call__(self, images):
        time.sleep(0.2)
        return images + np.uint8(10)

stores.PART_FILES = 2
stores.refine_store(Slow(), place(sys.argv[1]), place(sys.argv[2]), batch_size=1, threads=1)
"""


def test_a_process_that_is_killed_midway_loses_nothing_and_leaves_nothing_half(tmp_path, bucket):
    for number in range(12):
        put(tmp_path / "in" / f"{number:02}.png", number)
    (tmp_path / "in" / "labels.csv").write_text("file,label\n")
    refine_folder(Brighter(), tmp_path / "in", tmp_path / "whole")
    source, target = upload(tmp_path / "in", bucket / "in"), bucket / "out"
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen([sys.executable, "-c", SLOW, source, target], env=environment)
    store, root = fsspec.core.url_to_fs(target)
    for _ in range(1200):  # listed, not read: of a folder that just filled, `find` gives the folder itself
        store.invalidate_cache()
        if any(path.endswith(".png") for path in store.find(root)):
            break
        assert process.poll() is None, "the process ended before it wrote a picture"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left, whole = tree(target), tree(tmp_path / "whole")
    done = {name for name in left if name.endswith(".png")}
    assert 2 <= len(done) < 12 and all(left[name] == whole[name] for name in left)
    again = refine_store(Brighter(), source, target)
    assert (again.skipped, again.written) == (len(done), 12 - len(done))
    assert tree(target) == whole


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run folder."""
    from random_refiner import write_random_refiner  # with it comes the backend, which no other test here needs

    return write_random_refiner(tmp_path_factory.mktemp("model"))


def test_the_command_takes_addresses(model, tmp_path, memory):
    write_pile(tmp_path / "in", 3)
    upload(tmp_path / "in", RENDERS)
    said = []
    for folder, out in ((tmp_path / "in", tmp_path / "whole"), (RENDERS, REFINED)):
        arguments = ["refine", str(folder), "--model", str(model), "--out", str(out), "--draws", "2"]
        done = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        said.append([line.partition(", in ")[0] for line in done.output.splitlines() if "found" in line])
    assert tree(REFINED) == tree(tmp_path / "whole") and said[0] == said[1] and len(said[0]) == 2
    refused = CliRunner().invoke(main, ["refine", "nosuch://a", "--model", str(model), "--out", "memory://b"])
    assert refused.exit_code == EXIT_USER_ERROR and "Error: nosuch://a" in refused.output
    assert simrefine.refine(str(RENDERS), f"{REFINED}/seed-0", model=model).skipped == 3
