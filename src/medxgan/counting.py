"""Numbers of things in sentences."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """So many of something; the plural adds an s unless ``many`` says it.

    >>> counted(1, "image"), counted(3, "image"), counted(2, "is", "are")
    ('1 image', '3 images', '2 are')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"
