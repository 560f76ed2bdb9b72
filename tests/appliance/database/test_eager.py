"""What is read along with a row is found by its number, however many there are of its kind."""

from sqlalchemy.orm import Mapper

from appliance.models import Base


def branches(mapper: Mapper[object]) -> bool:
    """Is something joined to each row of it that must be there?"""
    return any(relation.lazy == "joined" and relation.innerjoin for relation in mapper.relationships)


def test_what_may_be_missing_is_not_joined_together_with_what_hangs_on_it() -> None:
    """`LEFT JOIN (mailbox JOIN domain …)`: SQLite makes the whole of what is in the brackets, a million rows, for one row."""
    found = [
        str(relation)
        for mapper in Base.registry.mappers
        for relation in mapper.relationships
        if relation.lazy == "joined" and not relation.innerjoin and branches(relation.mapper)
    ]
    assert found == []
