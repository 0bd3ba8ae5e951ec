"""Numba's compiler for functions whose loops may use vectors of 512 bits.

LLVM prefers 256 on Intel's server processors, because the first of them slowed down under 512. A
function attribute overrides it, in the function that is left after inlining.
"""

from typing import Any

from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering

__all__ = ["WideCompiler"]


class _WideLower(Lower):  # type: ignore[misc]
    """Makes functions with that attribute."""

    def lower_normal_function(self, fndesc: Any) -> None:
        """Make the function."""
        super().lower_normal_function(fndesc)
        # llvmlite's own ``add`` refuses names that it doesn't know
        set.add(self.function.attributes, '"prefer-vector-width"="512"')


@register_pass(mutates_CFG=True, analysis_only=False)
class _WideLowering(NativeLowering):  # type: ignore[misc]
    _name = "wide_lowering"

    @property
    def lowering_class(self) -> Any:
        """Return what makes functions."""
        return _WideLower


class WideCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's own pipeline with one pass exchanged."""

    def define_pipelines(self) -> list[Any]:
        """Return the pipeline."""
        made = DefaultPassBuilder.define_nopython_pipeline(self.state)
        made.passes = [
            (_WideLowering, about) if each is NativeLowering else (each, about)
            for each, about in made.passes
        ]
        made.finalize()
        return [made]
