"""Fault injection: after each fault, the same command resumes the study, which then equals an undisturbed study."""
