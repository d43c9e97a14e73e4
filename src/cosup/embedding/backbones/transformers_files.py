"""Files of transformers' models: read as data only, written into a folder, and what is said where they fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from cosup.utils.json_files import read_json
from cosup.utils.validation import CosupError

__all__ = ["offline_said", "plain_loading", "silent", "write_folder"]


def plain_loading(source: str) -> dict[str, Any]:
    """Return options of ``from_pretrained`` that read a model's files as data only, and only from its folder.

    Raises
    ------
    CosupError
        If a folder asks for more than its own files and the classes of transformers: an adapter names another model, a
        kernel is fetched, a quantisation brings code of other packages.
    """
    folder = Path(source)
    if not folder.is_dir():
        return {"trust_remote_code": False, "local_files_only": False}
    where = folder / "config.json"
    if (folder / "adapter_config.json").exists():
        raise CosupError(
            f"{folder} holds an adapter, which names another model; merge it into its model, and save that"
        )
    config = read_json(where, "save_pretrained writes one") if where.exists() else {}
    held = (
        [config, *(value for value in config.values() if isinstance(value, dict))] if isinstance(config, dict) else []
    )
    for part in held:
        kernels = [part.get(key) for key in ("attn_implementation", "_attn_implementation")]
        if part.get("quantization_config") is not None or any("/" in str(kernel) for kernel in kernels):
            raise CosupError(f"{where} asks for a quantisation or a kernel from elsewhere; save the model without it")
    return {"trust_remote_code": False, "local_files_only": True}


@contextlib.contextmanager
def offline_said(name: str) -> Iterator[None]:
    """Say what to do where a model's files are not here and cannot be fetched, or are damaged."""
    try:
        yield
    except CosupError:
        raise
    except ImportError as error:
        raise CosupError(f"'{name}' cannot be loaded here: {error}") from error
    # SafetensorError and huggingface_hub's errors are neither OSError nor ValueError in every version.
    except (OSError, ValueError, RuntimeError) as error:
        raise _unavailable(name, error) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("huggingface_hub", "safetensors", "builtins"):
            raise
        raise _unavailable(name, error) from error


def _unavailable(name: str, error: Exception) -> CosupError:
    folder = name.removeprefix("hf:")
    if Path(folder).is_dir():
        return CosupError(f"the model in {folder} cannot be loaded: {error}")
    return CosupError(
        f"'{name}' could not be fetched from the hub: {str(error).splitlines()[0]} Without access to it, fetch "
        f"the model elsewhere (huggingface-cli download {folder} --local-dir FOLDER), copy FOLDER here and name "
        "it hf:FOLDER"
    )


@contextlib.contextmanager
def silent(library: ModuleType) -> Iterator[None]:
    """Keep transformers' bars and reports off the terminal, for what is called meanwhile only."""
    logging = library.utils.logging
    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def write_folder(folder: str | Path, *parts: Any) -> None:
    """Write a model and what prepares its input by their ``save_pretrained``.

    Raises
    ------
    CosupError
        If the folder is there: a model over another would leave some of the other's files.
    """
    try:
        Path(folder).mkdir(parents=True)
    except FileExistsError as error:
        raise CosupError(f"{folder} is there already; name a folder that is not") from error
    for part in parts:
        part.save_pretrained(folder)
