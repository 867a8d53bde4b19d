"""What people say of data: assessments, corrections, as single statements and as sheets."""
