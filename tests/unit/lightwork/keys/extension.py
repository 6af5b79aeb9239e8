"""Small compiled modules, and libraries that they are linked with, made by the C compiler that is there."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

NEEDED = pytest.mark.skipif(
    shutil.which("cc") is None or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="needs a C compiler and the headers of Python",
)

SOURCE = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifdef LINKED
extern long linked(void);
#else
static long linked(void) { return FACTOR; }
#endif
static PyObject *scaled(PyObject *self, PyObject *x) {
    return PyLong_FromLong(linked() * PyLong_AsLong(x));
}
static PyMethodDef functions[] = {{"scaled", scaled, METH_O, ""}, {NULL}};
static PyMethodDef held = {"held", scaled, METH_O, ""};
static PyMethodDef methods[] = {
    {"scale", scaled, METH_O, ""}, {"fixed", scaled, METH_O | METH_STATIC, ""},
    {"of", scaled, METH_O | METH_CLASS, ""}, {NULL}};
static PyObject *reduce(PyObject *self, PyObject *unused) { return Py_BuildValue("(O())", Py_TYPE(self)); }
static PyMethodDef picklable[] = {
    {"scale", scaled, METH_O, ""}, {"__reduce__", reduce, METH_NOARGS, ""}, {NULL}};
static PyType_Slot slots[] = {{Py_tp_methods, methods}, {0, NULL}};
static PyType_Slot others[] = {{Py_tp_methods, picklable}, {0, NULL}};
static PyType_Spec spec = {TYPE, sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
static PyType_Spec other = {OTHER, sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, others};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, NAME, "", -1, functions};

PyMODINIT_FUNC INIT(void) {
    PyObject *module = PyModule_Create(&definition);
    PyObject *type = PyType_FromSpec(&spec), *hidden = PyType_FromSpec(&other);
    PyModule_AddObject(module, "Fast", type);
    PyModule_AddObject(module, "Hidden", Py_NewRef(hidden));
    PyModule_AddObject(module, "hidden", PyObject_CallNoArgs(hidden));
    PyModule_AddObject(module, "held", PyCFunction_New(&held, PyCapsule_New(&held, "held", NULL)));
    PyModule_AddIntConstant(module, "LIMIT", 3);
    PyModule_AddStringConstant(module, "says", "" SAYS);
    return module;
}
"""


@functools.cache
def compiled(
    factor: int = 2, *, module: str = "_fast", home: str = "pkg._fast", says: str = "", linked: str = ""
) -> bytes:
    """Return a compiled module that multiplies by a factor.

    Args:
        factor: the factor.
        module: the module's own name.
        home: the module that its classes name.
        says: a text in it.
        linked: the file name of a library in its folder that knows the factor.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "source.c").write_text(SOURCE)
        name = "other" if home == "nowhere" else module
        macros = {"NAME": f'"{name}"', "FACTOR": str(factor), "INIT": f"PyInit_{module}", "SAYS": f'"{says}"'}
        macros |= {
            "TYPE": f'"{home}.Fast"'.replace('".', '"'),
            "OTHER": f'"{home}.Hidden"'.replace('".', '"'),
        }
        command = ["cc", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}", "source.c", "-o", "out.so"]
        if linked:
            library(factor, Path(folder) / linked)
            command += ["-DLINKED", f"-L{folder}", f"-l:{linked}", "-Wl,-rpath,$ORIGIN"]
        command += [f"-D{macro}={value}" for macro, value in macros.items()]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return (Path(folder) / "out.so").read_bytes()


def library(factor: int, path: Path) -> None:
    """Write a shared library that knows a factor."""
    source = path.with_suffix(".c")
    source.write_text(f"long linked(void) {{ return {factor}; }}")
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(path)], check=True, capture_output=True)
    source.unlink()
