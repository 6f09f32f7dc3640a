"""Checks that wheels hold what a user needs and nothing else: check_wheel.py WHEEL..."""

import sys
import zipfile

NEEDED = {
    "wavcodes/__init__.py",
    "wavcodes/_core.pyi",
    "wavcodes/py.typed",
    "wavcodes/data/wavcodes_16khz.safetensors",
    "wavcodes/judge/page.css",
    "wavcodes/judge/page.js",
}

contents = []
for path in sys.argv[1:]:
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    missing = NEEDED - names
    engines = [name for name in names if name.startswith("wavcodes/_core.") and name.endswith((".so", ".pyd"))]
    strays = [name for name in names if not name.startswith(("wavcodes/", "wavcodes-"))]
    licences = {name.rpartition("/")[2] for name in names if "/licenses/" in name}
    if missing or len(engines) != 1 or strays or licences != {"LICENSE", "NOTICE"}:
        sys.exit(f"{path}: {missing = }, {engines = }, {strays = }, {licences = }")
    contents.append(names)
if any(names != contents[0] for names in contents):
    sys.exit(f"the wheels differ in {set.union(*contents) - set.intersection(*contents)}")
print(f"{len(contents)} wheels of {len(contents[0])} files")
