from internal.adapters.http import job_shapes
from internal.domain import jobs


def test_a_job_is_shown_with_the_fields_it_has_in_the_same_order() -> None:
    fields = jobs.Job.__struct_fields__
    assert job_shapes.Job.__struct_fields__ == fields
    assert job_shapes.SubmittedJob.__struct_fields__ == (*fields, "deduplicated")
