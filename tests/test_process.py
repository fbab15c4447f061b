"""The process around an analysis: what it finds there, and what it leaves as it was."""

from __future__ import annotations

import asyncio
import copy
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import av
import numpy as np
import pytest

import espressivo
from espressivo.analyzer import Analyzer
from espressivo.audio.ffmpeg import capped
from espressivo.errors import ModelError
from espressivo.model.find import DEFAULT, find_model
from espressivo.speech.segments import SpeechOptions
from tests.conftest import NOTE

HAS_FORK = "fork" in multiprocessing.get_all_start_methods()


def _python(code, *arguments, **environment):
    """Run code in a process of its own and return what it printed, line by line."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def expected(analyzer):
    return analyzer.analyze(NOTE)


def _picture_is_made():
    """Have FFmpeg allocate 300 MB, more than our own decoding may."""
    frame = av.VideoFrame(10_000, 10_000, "rgb24")
    return frame.planes[0].buffer_size >= 300_000_000


def _is_made():
    try:
        return _picture_is_made()
    except MemoryError:
        return False


def test_another_user_of_pyav_notices_nothing(analyzer):
    assert _is_made()
    analyzer.analyze(NOTE)
    assert _is_made()
    with pytest.raises(espressivo.AudioError):
        analyzer.analyze(b"no recording")
    assert _is_made()
    next(espressivo.audio.Recording(NOTE).blocks(1.0))  # and left there
    assert _is_made()


def test_the_cap_holds_while_any_thread_is_inside():
    def fail():
        with capped():
            raise KeyError

    with capped(), ThreadPoolExecutor(1) as pool:
        assert not _is_made()
        pool.submit(capped().__enter__).result()
        with pytest.raises(KeyError):
            fail()
        assert not _is_made()
        pool.submit(capped().__exit__, None, None, None).result()
        assert not _is_made()
    assert _is_made()


@pytest.mark.skipif(not HAS_FORK, reason="this system does not fork")
def test_a_forked_process_is_outside_of_the_cap():
    inside, done = threading.Event(), threading.Event()

    def decode():
        with capped():
            inside.set()
            done.wait()

    thread = threading.Thread(target=decode)
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if _is_made() else 1)
    done.set()
    thread.join()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert _is_made()


STATE = """
    import decimal, gc, json, locale, logging, os, random, signal, socket, sys
    import threading, warnings
    import numpy as np

    def state():
        root = logging.getLogger()
        found = {
            "warnings": (warnings.filters, warnings.showwarning),
            "logging": (root.level, root.handlers, root.manager.disable),
            "log records": logging.getLogRecordFactory(),
            "signals": {s: signal.getsignal(s) for s in signal.Signals},
            "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
            "tracing": (sys.gettrace(), sys.getprofile(), threading.gettrace()),
            "streams": (sys.stdin, sys.stdout, sys.stderr),
            "numpy": (np.geterr(), np.geterrcall(), np.get_printoptions()),
            "random numbers": (np.random.get_state(), random.getstate()),
            "locale": locale.setlocale(locale.LC_ALL),
            # Set on purpose: onnxruntime would send telemetry (docs/analyze.md).
            "environment": {
                k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"
            },
            "folder": os.getcwd(),
            "imports": (sys.path, sys.meta_path, len(sys.path_hooks)),
            "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
            "garbage": (gc.isenabled(), gc.get_threshold()),
            "decimal": decimal.getcontext(),
            "sockets": socket.getdefaulttimeout(),
            "threads": [thread.name for thread in threading.enumerate()],
        }
        return {key: str(value) for key, value in found.items()}
"""


def test_importing_and_analysing_change_nothing_around_them():
    lines = _python(
        textwrap.dedent(STATE)
        + textwrap.dedent("""
        before = state()
        import espressivo
        imported = state()
        analyzer = espressivo.load_model()
        analyzer.analyze(sys.argv[1])
        try:
            analyzer.analyze("nothing.wav")
        except espressivo.AudioError:
            pass
        stream = analyzer.stream()
        stream.push(np.zeros(20_000, np.float32))
        stream.finish()
        after = state()
        print(json.dumps([k for k in before if before[k] != imported[k]]))
        print(json.dumps([k for k in before if before[k] != after[k]]))
        print(len(before))
        """),
        NOTE,
    )

    assert [json.loads(line) for line in lines] == [[], [], 18]


@pytest.fixture(scope="module")
def comma(tmp_path_factory):
    """Folder with a locale that writes decimals with a comma."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("needs localedef (Debian: libc-bin, locales)")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"localedef makes no de_DE: {made.stderr.decode()[-100:]}")
    return folder


@pytest.mark.parametrize("when", ["before the import", "after the import"])
def test_a_decimal_comma_changes_nothing(comma, shared, when):
    cases = shared / "cases"
    files = [NOTE, *sorted(p for p in cases.iterdir() if p.suffix not in NO_RECORDING)]
    code = """
        import json, locale, sys
        def set_locale(name):
            locale.setlocale(locale.LC_ALL, name)
            return locale.localeconv()["decimal_point"]
        if "before" in sys.argv[1]: point = set_locale("de_DE.UTF-8")
        import espressivo
        if "after" in sys.argv[1]: point = set_locale("de_DE.UTF-8")
        def found():
            analyzer = espressivo.load_model()
            for path in sys.argv[2:]:
                try:
                    report = analyzer.analyze(path)
                    yield report.to_json(), report.to_csv()
                except espressivo.AudioError as error:
                    yield str(error)
        german = list(found())
        print(point, set_locale("C"), len(german), german == list(found()))
    """
    (line,) = _python(code, when, *files, LOCPATH=str(comma))

    assert line == f", . {len(files)} True"


NO_RECORDING = {".py", ".md", ".sh", ".mjs"}

DAEMON = "threading.Thread(target=analyze, daemon=True)"
AT_THE_END = r"""
    import atexit, os, sys, threading, time, espressivo
    analyzer = espressivo.load_model()
    started = threading.Event()

    def analyze():
        started.set()
        os.write(1, f"{analyzer.analyze(sys.argv[1]).emotion}\n".encode())

    def late():
        time.sleep(0.3)
        analyze()
"""


@pytest.mark.parametrize(
    ("last", "n"),
    [
        ("threading.Thread(target=analyze).start()", 1),
        ("threading.Thread(target=late).start()", 1),
        ("for _ in range(3): threading.Thread(target=late).start()", 3),
        ("atexit.register(analyze)", 1),
        ("threading.Thread(target=late).start(); atexit.register(analyze)", 2),
        (f"t = {DAEMON}; t.start(); atexit.register(t.join)", 1),
        ("threading.Thread(target=late).start(); analyzer.analyze(sys.argv[1])", 1),
    ],
)
def test_an_analysis_outlives_the_main_thread(expected, last, n):
    lines = _python(textwrap.dedent(AT_THE_END) + last, NOTE)

    assert lines == [expected.emotion] * n


@pytest.mark.parametrize("wait_s", [0, 0.05, 0.1, 0.2, 0.4])
def test_a_daemon_thread_does_not_abort_the_process(expected, wait_s):
    # It is stopped as daemons are, without a word of C++.
    last = f"{DAEMON}.start(); started.wait(); time.sleep({wait_s})"
    lines = _python(textwrap.dedent(AT_THE_END) + last, NOTE)

    assert lines in ([], [expected.emotion])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets a Linux limit")
def test_where_no_thread_can_be_started_the_caller_works(expected):
    code = """
        import sys, threading, espressivo
        analyzer = espressivo.load_model(threads=4)
        analyzer.analyze(sys.argv[1])
        def refuse(*_, **__): raise RuntimeError("can't start new thread")
        threading._start_new_thread = refuse  # of 3.11 and 3.12
        threading._start_joinable_thread = refuse  # since 3.13
        print(analyzer.analyze(sys.argv[1]).emotion)
    """

    assert _python(code, NOTE) == [expected.emotion]


def _same(report, expected):
    return report.estimates == expected.estimates and report.emotion == expected.emotion


def _analyze(analyzer, path):
    return analyzer.analyze(path)


def test_a_pickled_analyzer_is_the_same(analyzer, expected, tmp_path, monkeypatch):
    profile = espressivo.Profile.new("me", analyzer.classifier)
    other = Analyzer(
        analyzer.classifier,
        speech=SpeechOptions(threshold=0.6),
        threads=3,
        batch_size=2,
        profile=profile,
    )
    pickled = pickle.dumps(analyzer), pickle.dumps(other)
    monkeypatch.chdir(tmp_path)

    plain, adapted = map(pickle.loads, pickled)

    assert len(pickled[0]) < 2000  # the model is not in it
    assert _same(plain.analyze(NOTE), expected)
    assert adapted.speech == other.speech
    assert (adapted.threads, adapted.batch_size) == (3, 2)
    assert adapted.analyze(NOTE) == other.analyze(NOTE)
    assert adapted.profile.name == "me"


def test_a_model_folder_is_found_from_another_working_directory(
    tmp_path, monkeypatch, expected
):
    shutil.copytree(find_model(DEFAULT), tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(espressivo.load_model("mine"))
    monkeypatch.chdir("/")

    assert _same(pickle.loads(pickled).analyze(NOTE), expected)


def test_a_pickled_model_is_verified_when_it_is_loaded(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(find_model(DEFAULT), folder)
    pickled = pickle.dumps(espressivo.load_model(folder))
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="was altered"):
        pickle.loads(pickled)
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match="is neither a folder nor a bundled model"):
        pickle.loads(pickled)


def test_another_model_in_the_same_place_is_not_taken_for_the_pickled_one(
    tmp_path, monkeypatch
):
    folder = tmp_path / "mine"
    shutil.copytree(find_model(DEFAULT), folder)
    classifier = espressivo.load_model(folder).classifier
    load, (place, sha256) = classifier.__reduce__()

    assert load(place, sha256).card == classifier.card
    with pytest.raises(ModelError, match="holds another model"):
        load(place, "0" * 64)


def test_copies_share_the_model(analyzer, expected):
    for other in (copy.copy(analyzer), copy.deepcopy(analyzer)):
        assert other.classifier is analyzer.classifier
        assert _same(other.analyze(NOTE), expected)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_an_analyzer_works_in_other_processes(analyzer, expected, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    context = multiprocessing.get_context(method)

    with ProcessPoolExecutor(2, mp_context=context) as pool:
        reports = list(pool.map(_analyze, [analyzer] * 3, [NOTE] * 3))

    assert all(_same(report, expected) for report in reports)


def test_joblib_takes_an_analyzer(analyzer, expected):
    joblib = pytest.importorskip("joblib")

    jobs = [joblib.delayed(_analyze)(analyzer, NOTE)] * 2
    reports = joblib.Parallel(n_jobs=2)(jobs)

    assert all(_same(report, expected) for report in reports)


@pytest.mark.skipif(not HAS_FORK, reason="this system does not fork")
@pytest.mark.skipif(
    sys.version_info[:3] == (3, 12, 1),
    reason="in this version, Python's own threads hang in children that are forked so",
)
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # since 3.12
def test_a_fork_during_an_analysis_does_not_hang(analyzer, note):
    # A lock of onnxruntime that another thread holds would never be released.
    clip = note[:48_000]
    wanted = analyzer.analyze(clip)
    is_done = threading.Event()

    def analyze():
        while not is_done.is_set():
            analyzer.analyze(clip)

    threads = [threading.Thread(target=analyze) for _ in range(2)]
    for thread in threads:
        thread.start()
    codes = []
    try:
        for i in range(30):
            is_done.wait(0.003 * (i % 7))
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                os._exit(0 if _same(analyzer.analyze(clip), wanted) else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    finally:
        is_done.set()
        for thread in threads:
            thread.join()

    assert codes == [0] * 30


def test_threads_that_share_an_analyzer_give_the_same(analyzer, expected):
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(analyzer.analyze, [NOTE] * 8))

    assert all(_same(report, expected) for report in reports)


def test_tasks_of_asyncio_share_an_analyzer(analyzer, expected):
    async def run():
        tasks = [
            asyncio.create_task(asyncio.to_thread(analyzer.analyze, NOTE))
            for _ in range(6)
        ]
        await asyncio.sleep(0.05)
        tasks[2].cancel()
        tasks[4].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(run())

    for i, result in enumerate(results):
        if i in {2, 4}:
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert _same(result, expected)


def test_an_interrupted_analysis_leaves_nothing_behind(analyzer, note, expected):
    before = threading.active_count()
    samples = np.tile(note, 3)

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyzer.analyze(samples, block_s=1.0, progress=interrupt)

    assert threading.active_count() == before
    assert _is_made()
    assert _same(analyzer.analyze(NOTE), expected)


def _run_case(shared, name):
    done = subprocess.run(
        [sys.executable, shared / "cases" / name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_numpy_may_raise_what_it_usually_ignores(analyzer, note):
    # Sound that fades out ends in numbers too small for full precision.
    sound = np.concatenate([note, np.full(16_000, 1e-42, np.float32)])
    expected = analyzer.analyze(sound)

    with np.errstate(all="raise"):
        report = analyzer.analyze(sound)
        stream = analyzer.stream()
        stream.push(sound)
        streamed = stream.finish()
        after = np.geterr()

    assert report == expected
    assert streamed.segments == expected.segments
    assert set(after.values()) == {"raise"}


def test_the_cases_that_users_reported(shared, analyzer):
    assert _run_case(shared, "pyav-beside.py") == ["before: ok", "after: ok"]
    clean = analyzer.analyze(shared / "cases" / "clean.opus")
    assert _run_case(shared, "thread-after-main.py") == [clean.emotion]
    lengths = [
        line.partition(" gives ")[2] for line in _run_case(shared, "long-array.py")
    ]
    assert lengths == [f"{60 * n}.0 s; wanted {60 * n}" for n in (11, 12, 24)]
