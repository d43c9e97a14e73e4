"""Empty files in the layouts of data sets, and what was read of them."""


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def classes_of(images):
    return [images.class_names[label] if label >= 0 else None for label in images.labels]
