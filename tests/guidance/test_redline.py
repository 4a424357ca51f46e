"""Redlines: what a reader sees struck and underlined is exactly what was taken away and put in."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guidance.redline import _TINY, DECIDING, NUMBER_WORDS, Segment, contradictions, moved, redline, tokens

QUICK = settings(max_examples=150, deadline=None)

WORDS = st.sampled_from(
    [
        *("patients", "liver", "the", "of", "a", ",", "and", "or", "not", "must", "must not", "never", "two"),
        *("5 mg/kg", "48 months", "≥ 2 × ULN", "T2", "e.g.", "in", "for", ".", ";", "?", "\n", "\n\n", "  ", "\t"),
    ]
)
TEXTS = st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=60)


def without(segments: tuple[Segment, ...], op: str) -> str:
    return "".join(segment.text for segment in segments if segment.op != op)


def shown(old: str, new: str) -> str:
    """A redline as one line: [-deleted-]{+inserted+}."""
    marks = {"kept": "{}", "deleted": "[-{}-]", "inserted": "{{+{}+}}"}
    return "".join(marks[segment.op].format(segment.text) for segment in redline(old, new))


@QUICK
@given(TEXTS, TEXTS)
@example("", "")
@example(" ", "\n")
@example("A b. A b.", "A b.")
def test_segments_spell_exactly_both_texts(old: str, new: str) -> None:
    segments = redline(old, new)
    assert without(segments, "inserted") == old
    assert without(segments, "deleted") == new


@QUICK
@given(TEXTS, TEXTS)
def test_segments_are_never_empty_and_neighbours_differ(old: str, new: str) -> None:
    segments = redline(old, new)
    assert all(segment.text for segment in segments)
    assert all((a.op, a.move) != (b.op, b.move) for a, b in pairwise(segments))


@QUICK
@given(TEXTS)
def test_a_text_against_itself_is_kept_whole(text: str) -> None:
    assert redline(text, text) == ((Segment("kept", text),) if text else ())


@QUICK
@given(TEXTS)
def test_tokens_spell_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


@QUICK
@given(st.lists(st.sampled_from([f"Sentence {word} says a thing. " for word in "abcdefgh"]), unique=True), st.randoms())
def test_every_moved_sentence_is_deleted_once_and_inserted_once_with_one_number(
    sentences: list[str], chance: random.Random
) -> None:
    shuffled = chance.sample(sentences, len(sentences))
    segments = redline("".join(sentences), "".join(shuffled))
    gone = {segment.move: segment.text for segment in segments if segment.op == "deleted"}
    come = {segment.move: segment.text for segment in segments if segment.op == "inserted"}
    assert gone == come
    assert None not in gone
    assert set(gone.values()) == moved(sentences, shuffled)


@pytest.mark.parametrize(
    "quantity",
    [
        *("5 mg/kg", "48 months", "48-month", "≥ 2 × ULN", "1,000 IU/mL", "12–24 months", "3.5%", "two years"),
        *("< 100 mmHg", "5 micrograms", "4 drops", "twenty mg", "½ tablet"),
    ],
)
def test_a_number_and_its_unit_are_one_token(quantity: str) -> None:
    assert f"{quantity} " in tokens(f"At least {quantity} daily")


def test_a_changed_dose_is_shown_with_its_unit() -> None:
    assert shown("Give 5 mg daily.", "Give 50 mg daily.") == "Give [-5 mg -]{+50 mg +}daily."


def test_a_negation_that_went_is_shown_with_its_verb() -> None:
    assert shown("It must not be used.", "It must be used.") == "It [-must not -]{+must +}be used."


@pytest.mark.parametrize("word", ["not", "and", "or", "without", "5 mg"])
def test_a_deciding_word_between_two_changes_stays_kept(word: str) -> None:
    segments = redline(f"Alpha red {word} green beta.", f"Alpha blue {word} brown beta.")
    assert Segment("kept", f"{word} ") in segments


def test_a_tiny_common_word_between_two_changes_joins_them() -> None:
    assert shown("Use red of green here.", "Use blue of brown here.") == "Use [-red of green -]{+blue of brown +}here."


def test_a_light_change_is_shown_word_by_word() -> None:
    old = "Liver function is tested before treatment and while it lasts."
    new = "Liver function is tested before treatment and every month while it lasts."
    assert shown(old, new) == old.replace("while", "{+every month +}while")


def test_a_heavy_rewrite_is_shown_as_two_blocks() -> None:
    old = "Start the treatment only in adults with active disease who failed two drugs or more before."
    new = "Those adults who have highly active disease may be offered it after one earlier course failed."
    assert [segment.op for segment in redline(old, new)] == ["deleted", "inserted"]


def test_a_heavy_rewrite_of_one_paragraph_leaves_the_others_kept() -> None:
    frame = "The first paragraph stays.\n{}\nThe last paragraph stays."
    old = frame.format("Start only in adults with active disease who failed two drugs.")
    new = frame.format("Those adults who have disease of that sort may be offered it after one course.")
    assert [segment.op for segment in redline(old, new)] == ["kept", "deleted", "inserted", "kept"]


def test_a_moved_sentence_is_marked_and_the_others_are_kept() -> None:
    a, b, c = "Test the liver every month. ", "Tell the patient why at once. ", "Stop if the values rise again. "
    segments = redline(a + b + c, b + c + a)
    assert segments == (Segment("deleted", a, 1), Segment("kept", b + c), Segment("inserted", a, 1))


def test_a_text_that_came_or_went_is_one_segment() -> None:
    assert redline("", "All new. All.") == (Segment("inserted", "All new. All."),)
    assert redline("All old. All.", "") == (Segment("deleted", "All old. All."),)


@pytest.mark.parametrize(
    ("old", "new", "classes"),
    [
        ("for 48 months", "for 12 months", ["numbers"]),
        ("at least two courses", "at least one course", ["numbers"]),
        ("5 mg daily", "5 g daily", ["numbers"]),
        ("take 2 then 1", "take 1 then 2", ["numbers"]),
        ("do not give", "do give", ["negations"]),
        ("isn't given", "is given", ["negations"]),
        ("must be given", "should be given", ["duties"]),
        ("fever and rash", "fever or rash", ["connectives"]),
        ("fever and/or rash", "fever and rash", ["connectives"]),
        ("CYP3A4 inhibitors", "CYP2D6 inhibitors", ["numbers"]),
        ("5 micrograms", "5 nanograms", ["numbers"]),
        ("4 drops", "4 ampoules", ["numbers"]),
        ("½ tablet", "¼ tablet", ["numbers"]),
        ("⅓ of it", "⅔ of it", ["numbers"]),
        ("twenty mg", "thirty mg", ["numbers"]),
        ("forty-one mg", "forty-two mg", ["numbers"]),
        ("type II", "type IV", ["numerals"]),
        ("the first dose", "the third dose", ["ordinals"]),
        ("measured in micrograms", "measured in nanograms", ["units"]),
        ("for some days", "for some weeks", ["units"]),
        ("10 mg once weekly", "10 mg once daily", ["frequencies"]),
        ("tested monthly", "tested yearly", ["frequencies"]),
        ("often tested", "rarely tested", ["frequencies"]),
        ("before the infusion", "after the infusion", ["times"]),
        ("at least 5 mg", "at most 5 mg", ["comparisons"]),
        ("more in adults", "less in adults", ["comparisons"]),
        ("Increase the dose", "Decrease the dose", ["directions"]),
        ("it is stopped", "it is continued", ["directions"]),
    ],
)
def test_a_changed_word_that_decides_a_meaning_contradicts_a_wording_claim(
    old: str, new: str, classes: list[str]
) -> None:
    assert [why.split()[0].rstrip(":") for why in contradictions(old, new)] == classes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Liver tests are done.", "The liver is tested."),
        ("at least 2 courses", "At least two courses"),
        ("a 48-month course", "a course of 48 months"),
        ("don't give", "do not give"),
        ("half of the dose", "½ of the dose"),
        ("Twenty tablets", "20 tablets"),
        ("Increase the dose.", "The dose is increased."),
        ("each of the tablets", "each tablet"),
    ],
)
def test_other_words_for_the_same_do_not_contradict_it(old: str, new: str) -> None:
    assert contradictions(old, new) == ()


def test_every_deciding_word_and_number_word_is_a_token_of_its_own_or_within_one_that_shows_it() -> None:
    for word in [*NUMBER_WORDS, *(word for words in DECIDING.values() for word in words)]:
        assert any(word in token.split() for token in tokens(f"alpha {word} beta")), word


def test_no_word_that_decides_a_meaning_is_skipped_between_two_changes() -> None:
    assert _TINY.isdisjoint([*NUMBER_WORDS, *(word for words in DECIDING.values() for word in words)])


def test_what_contradicts_a_claim_is_named_by_its_class() -> None:
    assert contradictions("once weekly", "once daily") == ("frequencies: weekly became daily",)
    assert contradictions("Give ½ tablet before it", "Give a tablet after it") == (
        "numbers: 0.5 tablet became none",
        "units: none became tablet",
        "times: before became after",
    )


def test_the_moved_are_the_fewest_and_the_same_both_ways() -> None:
    chance = random.Random(3)
    for _ in range(300):
        names = [f"r{number}" for number in range(chance.randint(0, 9))]
        other = chance.sample(names, len(names))
        gone = moved(names, other)
        assert gone == moved(other, names)
        assert [name for name in names if name not in gone] == [name for name in other if name not in gone]
    assert moved(["a", "b", "c", "d"], ["b", "c", "d", "a"]) == {"a"}


def test_texts_too_long_to_compare_word_by_word_are_two_blocks() -> None:
    segments = redline("ab " * 20_000, "cd ab " * 20_000)
    assert [segment.op for segment in segments] == ["deleted", "inserted"]
