"""Write the parts of pages that say what the program is: `python -m docs.reference`, seconds."""

from docs.reference.page import update
from docs.reference.parts import PARTS, PICTURE, picture

for page, name, make in PARTS:
    update(page, name, make())
PICTURE.write_text(picture(), encoding="utf-8")
