"""Names of people by presidio, on a spaCy pipeline that is trained here on a few sentences."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from curation.artifact import InputFile, Surroundings, bind, hash_file, identity
from curation.conversation import Conversation, Message
from curation.engines.batch import Batch, through
from curation.errors import UserError
from curation.frame import to_frame, to_rows
from curation.operators.pii import Pii

PEOPLE = ["Anna Schmidt", "John Miller", "Mai Nguyen", "Peter Novak", "Lena Fischer", "Omar Haddad"]
SENTENCES = ["My name is {}.", "I met {} in town yesterday.", "Please call {} tomorrow.", "The door is open."]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline that knows these people, and little else."""
    import spacy
    from spacy.training import Example

    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("ner").add_label("PERSON")
    examples = []
    for sentence in SENTENCES:
        for person in PEOPLE:
            text = sentence.format(person)
            at = text.find(person)
            known = [(at, at + len(person), "PERSON")] if at >= 0 else []
            examples.append(Example.from_dict(nlp.make_doc(text), {"entities": known}))
    weights = nlp.initialize(lambda: examples)
    for _ in range(8):
        random.shuffle(examples)
        for some in spacy.util.minibatch(examples, 8):
            nlp.update(some, sgd=weights)
    folder = tmp_path_factory.mktemp("spacy") / "people"
    nlp.to_disk(folder)
    return folder


def bound(folder: Path, **settings: object) -> Pii:
    pii = Pii.model_validate({"kinds": ["email", "name"], "names_model": str(folder), **settings})
    return bind(pii, Surroundings(folder.parent, hash_file))


def test_names_are_redacted_beside_what_has_a_check(pipeline: Path) -> None:
    said = ("My name is Anna Schmidt.", "Please call John Miller tomorrow, at j@miller-works.org. The door is open.")
    row = Conversation(messages=(Message("user", said[0]), Message("assistant", said[1])))
    pii = pickle.loads(pickle.dumps(bound(pipeline)))  # as it goes to another process
    batch = through(Batch(to_frame([row], Conversation)), [pii])
    (made,) = to_rows(batch.frame)
    assert made.messages[0].content == "My name is [NAME]."
    assert made.messages[1].content == "Please call [NAME] tomorrow, at [EMAIL]. The door is open."
    numbered = bound(pipeline, numbered=True).map(row)[0]
    assert "[NAME_1]" in numbered.messages[0].content and "[NAME_2]" in numbered.messages[1].content


def test_the_row_goes_with_its_reason(pipeline: Path) -> None:
    chats = ["My name is Anna Schmidt.", "The door is open."]
    rows = [Conversation(messages=(Message("user", text), Message("assistant", "Yes."))) for text in chats]
    batch = through(Batch(to_frame(rows, Conversation)), [bound(pipeline, action="drop")])
    assert [row.messages[0].content for row in to_rows(batch.frame)] == ["The door is open."]
    assert batch.entries[0].dropped == {"name": 1}


def test_the_pipeline_is_a_part_of_the_key_and_only_where_it_is_named(pipeline: Path) -> None:
    assert "names_model" not in identity(Pii())  # what was made before this setting keeps its key
    assert len(str(identity(bound(pipeline))["names_model"])) == 64


@pytest.mark.parametrize("settings", [{"kinds": ["name"]}, {"kinds": ["email"], "names_model": "people"}])
def test_the_kind_and_its_model_belong_together(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="belong together"):
        Pii.model_validate(settings)


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    pii = Pii(kinds=("name",), names_model=InputFile("people", tmp_path, "d"))
    with pytest.raises(UserError, match="holds no spaCy pipeline") as caught:
        pii.map(Conversation(messages=(Message("user", "Anna?"),)))
    assert "en_core_web_sm" in caught.value.hint


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path) -> None:
    """In a process in which the package is not to be had."""
    code = f"""
import sys
sys.modules["presidio_analyzer"] = None
from pathlib import Path
from curation.errors import UserError
from curation.operators.pii_names import names
try:
    names(Path({str(tmp_path)!r}))
except UserError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'rlhf-curation[names]'"
