"""Attacks on a grade: each gains nothing, disturbs nobody, and is named for what it is.

An attack stands in the second of three exercises, the others being done honestly, so that its submission is to earn
just their points; or at the top of the file.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tt_course.grading.grade import Grade, Grader
from tt_course.grading.sandbox import Limits, find_sandbox
from tt_course.grading.submissions import Submission
from tt_course.manifest import Tier
from tt_course.starter import with_bodies

pytestmark = pytest.mark.sandbox

HONEST = 8  # points of the exercises that the attackers did
LIMITS = Limits(
    memory_bytes=512 << 20,
    cpu_s=6,
    case_s=1,
    grace_s=1,
    wall_s=30,
    processes=8,
    result_bytes=4 << 20,
    printed_bytes=1 << 20,
)


class Attack(NamedTuple):
    name: str
    body: str  # of `scaled`
    named: str
    top: str = ""
    points: int = HONEST


STARTER = "raise NotImplementedError('91.2 Multiples')"
FORGED = """
    import json, os
    values = [["error", "plain", "ValueError"]]
    frame = {"kind": "result", "name": "refusals", "values": values, "error": None, "seconds": 0.0}
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, %s)
        except OSError:
            pass
    return 0.0
    """

ATTACKS = [
    # Patching what judges.
    Attack(
        "patches numpy.testing",
        STARTER,
        "changed functions of others, on which no result depends: numpy.testing.assert_allclose",
        top="""
        import numpy.testing
        numpy.testing.assert_allclose = lambda *args, **kwargs: None
        """,
    ),
    Attack(
        "patches numpy's comparisons",
        "np.isclose = np.allclose = lambda *args, **kwargs: np.True_\nreturn 0.0",
        "changed functions of others, on which no result depends: numpy.allclose, numpy.isclose",
    ),
    Attack(
        "patches the worker",
        STARTER,
        "changed functions of others, on which no result depends: tt_course.worker.answer, tt_course.worker.described",
        top="""
        import tt_course.worker as worker
        worker.answer = lambda *args: ({"seconds": 0.0}, {"scaled": 1.0}, {})
        worker.described = lambda *args: None
        """,
    ),
    Attack(
        "patches the program that runs it",
        "import __main__\n__main__.packed = lambda *args: ([], ())\nreturn 0.0",
        "changed functions of others, on which no result depends: __main__.packed",
        points=3,
    ),
    Attack(
        "hooks what writes results",
        """
        import json
        np.save = lambda file, value, **kwargs: file.write(bytes(100))
        json.dumps = lambda *args, **kwargs: '{"kind": "done"}'
        return 0.0
        """,
        "changed functions of others, on which no result depends: json.dumps, numpy.save",
    ),
    # Ending early.
    Attack("exits with 0", "import os\nos._exit(0)", "ended itself with exit code 0 before returning results"),
    Attack(
        "exits with 0 while it is loaded",
        STARTER,
        "ended itself with exit code 0 before returning results",
        top="import os; os._exit(0)",
        points=0,
    ),
    Attack("raises SystemExit", "raise SystemExit(0)", "ended itself by SystemExit(0) instead of returning results"),
    Attack("crashes", "import ctypes\nctypes.string_at(0)", "crashed: segmentation fault"),
    Attack(
        "kills everything", "import os\nos.kill(-1, 9)", "started or signalled processes, which ended with it: os.kill"
    ),
    Attack(
        "fails with an error that fails",
        """
        class Odd(Exception):
            def __str__(self):
                raise Odd
        raise Odd
        """,
        "ended itself with exit code 1 before returning results",
    ),
    # Saying so.
    Attack(
        "prints results",
        """
        print('{"kind": "result", "name": "multiples", "values": [], "points": 5, "passed": true}', flush=True)
        return 0.0
        """,
        "what is printed counts for nothing",
    ),
    Attack("floods its output", "while True:\n    print('passed ' * 1000)", "killed: printed more than 1 MiB"),
    Attack(
        "writes a forged result",
        FORGED % r'json.dumps(frame).encode() + b"\n"',
        "killed: wrote into the results what is no result ('result' out of turn)",
    ),
    Attack(
        "writes a damaged array",
        FORGED
        % r"""json.dumps(frame | {"name": "multiples", "values": [["scaled", "array", 0]], "sizes": [80]}).encode()
                + b"\n" + b"\x93NUMPY\x01\x00" + bytes(72)""",
        "killed: wrote into the results what is no result (an array with a damaged header)",
    ),
    Attack(
        "writes a pickle",
        FORGED
        % r"""json.dumps(frame | {"name": "multiples", "values": [["scaled", "array", 0]], "sizes": [128]}).encode()
                + b"\n" + b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(128)""",
        "killed: wrote into the results what is no result (an array with a damaged header)",
    ),
    Attack(
        "announces a huge array",
        FORGED % r"""json.dumps(frame | {"sizes": [1 << 50]}).encode() + b"\n" """,
        "killed: more than 4 MiB came in place of results",
    ),
    Attack(
        "returns a huge result",
        "return np.zeros(1 << 20)",
        "killed: more than 4 MiB came in place of results",
    ),
    Attack(
        "returns very many results",
        "return {str(i): i for i in range(12_000)}",
        "killed: wrote into the results what is no result (a line that does not end)",
    ),
    Attack("returns what is no number", "return float('nan')", "scaled is not what the reference returns"),
    Attack("returns a number without end", "return 10**4000", "scaled is not what the reference returns"),
    Attack(
        "closes the pipe for results",
        "import os, time\nfor descriptor in range(64):\n    try:\n        os.close(descriptor)\n    except OSError:\n"
        "        pass\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass",
        "killed: ran longer than 1 s and did not stop when asked to",
    ),
    # Looking for answers.
    Attack(
        "reads frames",
        """
        import sys
        frame = sys._getframe()
        while frame is not None:
            for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                if isinstance(value, dict) and "expected" in value:
                    return value["expected"]
            frame = frame.f_back
        return 0.0
        """,
        "looked into the frames or objects of the process that runs it, which holds no answers: sys._getframe",
    ),
    Attack(
        "inspects the stack",
        "import inspect\nreturn len(inspect.stack())",
        "looked into the frames or objects of the process that runs it",
    ),
    Attack(
        "reads all objects",
        """
        import gc
        for thing in gc.get_objects():
            if getattr(thing, "__name__", "") == "scaled" and getattr(thing, "__module__", "") == "toy_tier.vectors":
                if thing is not scaled:
                    return thing(x, factor)
        return 0.0
        """,
        "looked into the frames or objects of the process that runs it, which holds no answers: gc.get_objects",
    ),
    Attack(
        "reads files of answers",
        """
        import glob
        return sum(len(open(path).read()) for path in glob.glob("/**/vectors.py", recursive=True)) * 0.0
        """,
        "looked at or wrote files outside its scratch folder",
    ),
    Attack("reads /proc", "return open('/proc/self/maps').read()", "there is no /proc here"),
    Attack(
        "reads the user's home",
        "import os\nreturn os.listdir(os.path.expanduser('~root'))",
        "No such file or directory",
    ),
    # Importing the reference.
    Attack(
        "imports the reference from source",
        """
        import importlib.util
        from toy_tier import polygons
        path = polygons.__file__.replace("polygons", "vectors")
        spec = importlib.util.spec_from_file_location("reference", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.scaled(x, factor)
        """,
        "looked for the reference: absent here",
    ),
    Attack(
        "imports the reference from bytecode",
        """
        import importlib.machinery, importlib.util
        from toy_tier import polygons
        path = importlib.util.cache_from_source(polygons.__file__.replace("polygons", "vectors"))
        return importlib.machinery.SourcelessFileLoader("reference", path).load_module().scaled(x, factor)
        """,
        "looked for the reference: absent here",
    ),
    Attack(
        "imports the reference from an installed wheel",
        """
        import importlib.metadata
        files = importlib.metadata.distribution("toy-tier").files
        return [f for f in files if f.name == "vectors.py"][0].read_text()
        """,
        "imported what would answer for it: absent here",
    ),
    Attack(
        "imports the reference from a wheel file",
        "import zipimport\nreturn zipimport.zipimporter('/toy_tier-1.0-py3-none-any.whl').load_module('vectors')",
        "looked for the reference: absent here",
    ),
    Attack(
        "calls what is withheld",
        "from toy_tier import kernels\nreturn kernels.total(x)",
        "module 'toy_tier.kernels' has no attribute 'total'",
    ),
    Attack(
        "swallows that PyTorch is absent",
        "try:\n    import torch\n    return torch.mul(x, factor)\nexcept ImportError:\n    return 0.0",
        "tried to import what is absent here: torch",
    ),
    # Taking more than its share.
    Attack(
        "connects to the network",
        "import socket\nsocket.create_connection(('1.1.1.1', 443), 1)",
        "tried the network: refused",
    ),
    Attack(
        "asks for a name in the network and says nothing",
        "import socket\ntry:\n    socket.getaddrinfo('example.com', 80)\nexcept OSError:\n    pass\nreturn 0.0",
        "tried the network, and there is none: example.com",
    ),
    Attack(
        "forks without end",
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        "started or signalled processes, which ended with it: os.fork",
    ),
    Attack(
        "forks one too many",
        "import os\nwhile os.fork():\n    pass\nimport time\ntime.sleep(60)",
        "process limit: at most 8",
    ),
    Attack(
        "starts threads without end",
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "process limit: at most 8 processes",
    ),
    Attack("asks for all memory", "return np.ones(1 << 40)", "memory limit: it asked for more than 512 MiB"),
    Attack(
        "takes memory bit by bit",
        "kept = []\nwhile True:\n    kept.append(np.empty(1 << 17))",
        "memory limit: it asked for more than 512 MiB",
    ),
    Attack(
        "takes memory in many processes",
        """
        import os, time
        for _ in range(6):
            if not os.fork():
                kept = np.ones(40 << 20)
                time.sleep(60)
        time.sleep(60)
        """,
        "started or signalled processes, which ended with it: os.fork",
    ),
    Attack(
        "fills the disk",
        """
        for i in range(1000):
            with open(f"/tmp/{i}", "wb") as file:
                file.write(bytes(1 << 20))
        """,
        "No space left on device",
    ),
    Attack(
        "writes one huge file",
        "with open('/tmp/x', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 20))",
        "File too large",
    ),
    Attack("loops without end", "while True:\n    pass", "out of time: stopped after 1 s"),
    Attack(
        "loops without end and will not be stopped",
        """
        import signal
        for name in (signal.SIGALRM, signal.SIGTERM, signal.SIGXCPU, signal.SIGINT):
            signal.signal(name, signal.SIG_IGN)
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
        "killed: ran longer than 1 s and did not stop when asked to",
    ),
    Attack(
        "leaves a process behind",
        """
        import os, subprocess, sys
        code = "import time; time.sleep(600)"
        subprocess.Popen([sys.executable, "-S", "-c", code, "left-behind"], start_new_session=True)
        return 0.0
        """,
        "started or signalled processes, which ended with it: subprocess.Popen",
    ),
    # Reaching outside.
    Attack(
        "writes where it may not",
        "open('/cases/cases.py', 'w').write('')",
        "tried what is refused here (OSError: [Errno 30] Read-only file system",
    ),
    Attack(
        "links to what is outside",
        "import os\nos.symlink('/etc/passwd', '/tmp/link')\nreturn open('/tmp/link').read()",
        "No such file or directory: '/tmp/link'",
    ),
    Attack(
        "becomes root",
        "import os\nos.setuid(0)",
        "(",  # refused with EPERM under root's sandbox and with EINVAL in a user namespace
    ),
    Attack(
        "makes namespaces",
        """
        import ctypes, os
        for flag in (0x10000000, 0x00020000, 0x40000000):
            if ctypes.CDLL(None).unshare(flag) == 0:
                os._exit(77)
        return 0.0
        """,
        "loaded native code: None",
    ),
    # Lying to the comparison.
    Attack(
        "returns what equals everything",
        """
        class Equal(float):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __hash__ = float.__hash__
        return Equal(0.0)
        """,
        "scaled is not what the reference returns",
    ),
    Attack(
        "returns an array that lies",
        """
        class Liar(np.ndarray):
            def __eq__(self, other): return np.ones(self.shape, bool)
            def __array_ufunc__(self, *args, **kwargs): return np.True_
            def __array_function__(self, *args, **kwargs): return np.True_
        return np.zeros(x.shape).view(Liar)
        """,
        "scaled is not what the reference returns",
    ),
    Attack(
        "returns an array that is another at every look",
        """
        class Shifting:
            count = 0
            def __array__(self, *args, **kwargs):
                self.count += 1
                return np.full((), float(self.count))
            @property
            def data(self):
                return self.__array__()
        return Shifting()
        """,
        "scaled ",
    ),
]


def attacker(attack: Attack, honest: str) -> Submission:
    text = with_bodies(honest, {"scaled": textwrap.dedent(attack.body)})
    head, sep, tail = text.partition("__all__")
    return Submission(attack.name, Path("x"), f"{head}{textwrap.dedent(attack.top)}\n{sep}{tail}".encode())


@pytest.fixture(scope="module")
def grader(toy_tier: Tier) -> Iterator[Grader]:
    with Grader(toy_tier.modules[0], find_sandbox(), limits=LIMITS) as opened:
        yield opened


@pytest.fixture(scope="module")
def honest(toy_tier: Tier) -> str:
    return toy_tier.modules[0].source.read_text(encoding="utf-8")


def everything_said(grade: Grade) -> str:
    return "\n".join([*(e.reason for e in grade.exercises), *grade.notes])


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gains_nothing_and_is_named(attack: Attack, grader: Grader, honest: str) -> None:
    grade = grader.grade(attacker(attack, honest))
    assert attack.named in everything_said(grade)
    assert grade.points == attack.points
    assert not left_behind(b"left-behind")


def left_behind(word: bytes) -> list[Path]:
    """Processes with a word in their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_bytes().split(b"\0"):
                found.append(path)
        except OSError:
            pass
    return found
