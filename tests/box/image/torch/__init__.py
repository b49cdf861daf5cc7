"""A small CPU-only torch wheel, made from the CUDA wheel: the package index carries no CPU wheel of torch for x86_64.

527 MB become 140 MB, without any nvidia-* or triton requirement. What is removed is replaced by stub libraries of some 20 KB,
so every C extension that was built against torch's CPU libraries (vLLM's is) loads and works.

    elf.py      what a library offers and wants
    gaps.py     which symbols are wanted and gone, and which stub must offer them
    stub.py     a stub library: assembler text, made by gcc
    patches.py  torch's Python files: take the branches of a CPU build
    wheel.py    unpack and pack a wheel
    slim.py     the steps in order
    check.py    proves the result: run inside an image by `python3 tests/box/image check`
"""
