"""What to do about each kind of warning."""

#: By the code that a warning begins with.
BY_CODE = {
    "format": "Save both sets in the same format, lossless if possible, and compare again.",
    "jpeg-quality": "Save both sets at the same JPEG quality, or compare the images before compression.",
    "size": "Bring both sets to one size by the same method before comparing, and state it.",
    "upscaled": "Use the mode of the number that you compare with; 'clean' has no antialiasing to do here.",
    "damaged": "Download or copy these files again; their pixels may be wrong.",
    "duplicates": "Remove the copies, or state them: copies make a set look less varied, and shared images make two "
    "sets look more alike than they are.",
    "same-images": "Compare two sets of different images; a set beside itself has no distance.",
    "too-alike": "Check whether the two sides share images, or one was made from the other.",
    "left-out": "Repair or replace these files: the number is about the images that are left.",
    "many-left-out": "Repair or replace these files first: what is left may be of other kinds than what is not.",
    "forced": "The number compares unlike things. Make both sides in the same way.",
    "baseline": "Give the images of the other generator as baseline.",
    "no-record": "Make the statistics again with fastfid, or make sure that the same model and mode were used.",
    "few-images": "Use more images, and compare only numbers of equally many images; fastfid plan says how many are "
    "needed.",
    "unequal-n": "Compare only with numbers from the same numbers of images, or use the value without bias.",
    "classes": "Check whether a folder is missing or has another name.",
    "small-classes": "Compare classes with each other only if they have equally many images.",
    "protocol-n": "State the number of images beside the result, or use the number of the protocol.",
    "protocol-size": "Generate or prepare images of the size of the protocol; another size is another number.",
    "protocol-reference": "Use the real side that the protocol names, or state which one was used.",
}
#: By words in a warning without a code.
BY_WORDS = {
    "made differently": "Harmless for the leading digits; make both sides on one machine to remove it.",
    "does not apply": "Give the images instead of statistics, or leave the option out.",
    "out of memory": "The number is not affected. Use this batch size to save time.",
    "NaN": "Look at the images of the smallest side: a metric has no value for them.",
    "16 bits": "Convert these images to 8 bits in the way that you want.",
    "transparency": "Put these images on a background of your choice.",
    "largest pixel": "Give integers from 0 to 255; images from 0 to 1 look black.",
    "value_range": "Check value_range: values outside it were clamped.",
}


def advice_on(warning: str) -> tuple[str, str, str]:
    """Return the kind of a warning ("" without one), its text, and what to do ("" if nothing is known).

    Examples
    --------
    >>> advice_on("size: 32x32 pixels in a, 64x64 pixels in b; resizing alone changes the FID")[:2]
    ('size', '32x32 pixels in a, 64x64 pixels in b; resizing alone changes the FID')
    """
    code, colon, text = warning.partition(": ")
    if colon and code in BY_CODE:
        return code, text, BY_CODE[code]
    return "", warning, next((advice for words, advice in BY_WORDS.items() if words in warning), "")
