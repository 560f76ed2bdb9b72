"""The tree of refusals."""

from appliance import errors


def kinds() -> list[type[errors.ApplianceError]]:
    return [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApplianceError)
    ]


def test_each_kind_has_a_code_of_its_own():
    """A program that compares codes must be able to tell any two kinds apart."""
    codes = [kind.default_code for kind in kinds()]
    assert len(set(codes)) == len(codes)


def test_the_drawing_shows_each_kind():
    """The tree at the top of the module is what readers go by."""
    for kind in kinds():
        assert kind.__name__ in (errors.__doc__ or "")


def test_an_error_carries_code_sentence_and_field():
    """The sentence is what str() says, the code falls back on the kind's."""
    error = errors.Taken("it is taken", field="name")
    assert (str(error), error.code, error.field) == ("it is taken", "taken", "name")
    assert errors.Taken("x", code="domain_taken").code == "domain_taken"
