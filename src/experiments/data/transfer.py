"""Batches on their way to the device."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

# Inputs and targets as stored, and the items' places [B] in the split; where the split is resident
# all its inputs and targets, of which the batch is still to be taken.
Read = tuple[Tensor, Tensor, Tensor]


def ahead(batches: Iterable[Read], device: torch.device) -> Iterator[Read]:
    """Move batches to the device; to a GPU one batch ahead, on a stream beside the computation."""
    if device.type != "cuda":
        for read in batches:
            yield _on(device, read)
        return
    stream = torch.cuda.Stream(device)
    waiting: list[tuple[Read, torch.cuda.Event]] = []
    for read in batches:
        with torch.cuda.stream(stream):
            waiting.append((_on(device, read), stream.record_event()))
        if len(waiting) > 1:
            yield _handed_over(*waiting.pop(0))
    for read, copied in waiting:
        yield _handed_over(read, copied)


def _on(device: torch.device, read: Read) -> Read:
    inputs, targets, index = read
    return inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True), index


def _handed_over(read: Read, copied: torch.cuda.Event) -> Read:
    """Let the computation wait for a copy, and the memory of the copy for the computation."""
    current = torch.cuda.current_stream()
    current.wait_event(copied)
    for tensor in read:
        tensor.record_stream(current)
    return read
