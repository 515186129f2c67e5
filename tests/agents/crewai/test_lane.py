import pytest


@pytest.mark.slow
def test_crewai_is_imported_where_warnings_are_errors():
    import crewai

    assert crewai.Crew
