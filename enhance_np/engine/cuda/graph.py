"""A training step as a CUDA graph: the host starts all kernels of a step by one call.

At small batches the card waits for the host, which launches 200 kernels one by one. A graph is
recorded once and launched as a whole. It repeats the same launches with the same arguments, so
everything that it reads or writes must stay where it is: the batch is copied to a fixed place, and
the learning rate, with Adam's bias correction, is read from the card.

The loop keeps the state before the last step until it has read the loss, so states are written to
three places in turn, and there are three graphs: from the first to the second, and so on. What a
step needs only while it runs comes from a memory pool that nothing else uses, because a graph
writes there without asking CuPy. The three graphs share it, as they run one after another.

Not run on a GPU: `engine.select("gpu", graph=True)` switches it on.
"""

import logging

from ... import optim
from ..._array import array_module
from ..._errors import one_line
from ...optim import AdamState
from . import training
from .flat import flattened, own_layout

STATES = 3
log = logging.getLogger(__name__)


class GraphStep:
    """`training.step` by graphs, with the same arguments, results and bits.

    The first step with arrays of new shapes or with other constants is run kernel by kernel, which
    compiles them and takes all memory; each of the next three records its graph. A result is
    overwritten by the third step after it. With given statistics, and after a recording that
    failed, steps are those of `training.step`.
    """

    def __init__(self):
        self._key = self._graphs = None
        self.failed = False

    def __call__(self, p, adam, x, target, config, ops, lr, l2, moving=None, clip=None):
        if not self.failed and moving is None:
            try:
                key = x.shape, target.shape, x.dtype, target.dtype, config, id(ops), l2, clip
                if key != self._key:
                    self._key, self._graphs = key, None  # before new memory is taken
                    self._graphs = _Graphs(p, x, target, config, ops, l2, clip)
                return self._graphs.step(p, adam, x, target, lr)
            except (_NotRecorded, MemoryError) as error:
                self.failed, self._graphs = True, None
                log.warning("training without CUDA graphs, which failed: %s", one_line(error))
        return training.step(p, adam, x, target, config, ops, lr, l2, moving, clip)


class _NotRecorded(Exception):
    pass


class _Graphs:
    """The graphs of one kind of step, and the memory that they use."""

    def __init__(self, p, x, target, config, ops, l2, clip):
        self.cupy = cupy = array_module(x)
        self.layout = own_layout(p)
        rooms = [training.room(cupy, self.layout, config) for _ in range(STATES)]
        # all read one rate, and write the gradient to one place
        self.rooms = [one._replace(rate=rooms[0].rate, g=rooms[0].g) for one in rooms]
        self.x, self.target = cupy.empty(x.shape, x.dtype), cupy.empty(target.shape, target.dtype)
        self.constants = config, ops, l2, None, clip
        self.stream, self.pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
        self.reserved = None  # bytes of the pool, once a step has run in it
        self.graphs, self.at = [None] * STATES, 0  # number of the room with the present state

    def step(self, p, adam, x, target, lr):
        before, to = self.rooms[self.at], self.rooms[(self.at + 1) % STATES]
        for own, given in ((before.p, p), (before.m, adam.m), (before.v, adam.v)):
            if own is not given:  # the first step, or one after a step of another kind
                own.buffer[...] = flattened(given, self.layout).buffer
        self.x[...], self.target[...] = x, target
        t = adam.step + 1
        to.rate.fill(optim.corrected_rate(lr, t, optim.BETA1, optim.BETA2))
        if self.reserved is None:
            self._run(before, to)
        else:
            self.graphs[self.at] = self.graphs[self.at] or self._recorded(before, to)
            self.graphs[self.at].launch()
        self.at = (self.at + 1) % STATES
        tape = training.Tape()
        tape.statistics = to.statistics
        return to.p, AdamState(t, to.m, to.v), to.loss, tape

    def _launches(self, before, to):
        training.run(before.p, before.m, before.v, self.x, self.target, *self.constants, to)

    def _run(self, before, to):
        """A step in the stream and the memory of the graphs."""
        current = self.cupy.cuda.get_current_stream()
        self.stream.wait_event(current.record())
        with self.cupy.cuda.using_allocator(self.pool.malloc), self.stream:
            self._launches(before, to)
        current.wait_event(self.stream.record())
        self.reserved = self.pool.total_bytes()

    def _recorded(self, before, to):
        """The graph of the step from one room to another; nothing is computed."""
        try:
            with self.cupy.cuda.using_allocator(self.pool.malloc), self.stream:
                self.stream.begin_capture()
                try:
                    self._launches(before, to)
                finally:  # whatever happens, the stream must not stay in this state
                    graph = self.stream.end_capture()
        except Exception as error:  # CuPy has its own types of errors
            raise _NotRecorded(f"{type(error).__name__}: {error}") from error
        if self.pool.total_bytes() != self.reserved:
            # a pool that is full gives memory back, also that of the graphs before
            raise _NotRecorded("recording took other memory than the step")
        return graph
