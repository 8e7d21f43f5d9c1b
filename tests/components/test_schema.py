import pydantic
import pytest

from components import schema


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
        ({"a": 1, "b": 256}, (), "less than or equal to 255"),
    ],
)
def test_wrong_class_tables_say_why(values, ignore, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        schema.ClassTable(values=values, ignore_values=ignore)
