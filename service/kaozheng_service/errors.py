"""What the service raises. The command line turns ``UserError`` into one clear message and exit code 2."""


class ServiceError(Exception):
    """Something that could not be done; the message says what, where, and what to do next."""


class UserError(ServiceError):
    """Bad usage or input; the message names file, line, field and the mend where there are such."""
