"""Speaker profiles by size and content of the enrolment history."""
