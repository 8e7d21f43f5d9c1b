import pydantic
import pytest

from components.common import schema


def test_lookup_table_shifts_labels_and_marks_the_rest(pet_classes):
    table = pet_classes.lookup_table()
    assert table[1:4] == [0, 1, 2]
    assert set(table[:1] + table[4:]) == {-1}


def test_ignored_values_get_the_ignore_index():
    classes = schema.ClassTable(values={"a": 0, "b": 7}, ignore_values=(255,))
    table = classes.lookup_table()
    assert (table[0], table[7], table[255]) == (0, 1, schema.IGNORE_INDEX)
    assert classes.describe() == "a=0, b=7; ignored: 255"


@pytest.mark.parametrize(
    ("values", "ignore", "message"),
    [
        ({"only": 1}, (), "at least two classes"),
        ({"a": 1, "b": 1}, (), "value 1 is listed twice"),
        ({"a": 1, "b": 2}, (2,), "value 2 is listed twice"),
        ({"Big Cat": 1, "b": 2}, (), "lower-case letters"),
        ({"a": 1, "b": 65536}, (), "less than or equal to 65535"),
    ],
)
def test_wrong_class_tables_say_why(values, ignore, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        schema.ClassTable(values=values, ignore_values=ignore)


def test_values_of_more_than_8_bits_are_stored_as_indices():
    classes = schema.ClassTable(values={"a": 3, "b": 1000, "c": 65535}, ignore_values=(7,))
    assert classes.wide
    assert classes.stored_values() == {3: 0, 1000: 1, 65535: 2, 7: schema.IGNORE_INDEX}
    table = classes.lookup_table()
    assert table[:3] == [0, 1, 2] and table[255] == schema.IGNORE_INDEX
    assert set(table[3:255]) == {-1}
    narrow = schema.ClassTable(values={"a": 3, "b": 255})
    assert not narrow.wide and narrow.stored_values() == {3: 3, 255: 255}
    assert narrow.lookup_table()[255] == 1
