"""What the rows of bench.py compare trainings to: the loops people write, and the products that none can do without."""

from __future__ import annotations

from typing import Any


def user_loop(X: Any, y: Any, size: dict[str, int], device: str = "cpu") -> None:
    """Train as a user writes it; features stay in memory, batches go to the device."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    layer = torch.nn.Linear(size["d"], size["c"], device=device)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    loss = torch.nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(y)), size["batch"], shuffle=True)
    for _ in range(size["epochs"]):
        for x, t in loader:
            optimizer.zero_grad()
            loss(layer(x.to(device)), t.to(device)).backward()
            optimizer.step()


def index_loop(X: Any, y: Any, size: dict[str, int], device: str = "cpu") -> None:
    """Train without a loader, all data on the device."""
    import torch

    data, target = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    layer = torch.nn.Linear(size["d"], size["c"], device=device)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    for _ in range(size["epochs"]):
        for rows in torch.randperm(len(data), device=device).split(size["batch"]):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(data[rows]), target[rows]).backward()
            optimizer.step()


def products(heads: int, size: dict[str, int], *, fastest: bool = True) -> None:
    """The matrix products of the training and nothing else: by the routine that training uses, or by torch.mm."""
    import torch

    from cosup.students.adam.steps import threads_for
    from cosup.utils.matmul import linear_into

    wide = heads * size["c"]
    x, weight, bias = torch.ones(size["batch"], size["d"]), torch.ones(wide, size["d"]), torch.ones(wide)
    logits, gradient = torch.empty(size["batch"], wide), torch.empty(wide, size["d"])
    turned = wide > size["d"]  # as training stores them
    if turned:
        weight, gradient = weight.T.contiguous().T, gradient.T.contiguous()
    linear = linear_into("cpu", size["batch"] * weight.numel())
    with torch.no_grad(), threads_for(size["batch"] * weight.numel()):
        for _ in range(size["epochs"] * -(-size["n"] // size["batch"])):
            if fastest:
                found = linear(x, weight, bias, logits)
                linear(*((x.T, found.T) if turned else (found.T, x.T)), None, gradient)
            else:
                torch.addmm(bias, x, weight.T, out=logits)
                torch.mm(x.T, logits, out=gradient) if turned else torch.mm(logits.T, x, out=gradient)
