"""tf.keras, as a peer: a model of its layers, NHWC, built by network.forward."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the import: no lines about GPUs

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from enhance_np import network
from enhance_np.inspection.forward_ops import forward_ops
from enhance_np.layers.batchnorm import EPS

keras = tf.keras


def predictors(weights, x, threads):
    """The model as a graph whose variables are constants: TensorFlow folds what can be folded."""
    set_threads(threads)
    net, _ = model(weights.params, weights.config, weights.moving)
    image = tf.constant(x[None, ..., None])
    graph = tf.function(lambda x: net(x, training=False))
    frozen = convert_variables_to_constants_v2(graph.get_concrete_function(image))
    return {"tf.keras graph": lambda: frozen(image)[0].numpy()[0, ..., 0]}


def trainers(p, x, target, config, lr, decay, threads):
    set_threads(threads)
    net, variables = model(p, config, decay=decay)
    net.compile(optimizer=keras.optimizers.Adam(lr), loss="mse")

    @tf.function
    def graph(x, target):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((net(x, training=True) - target) ** 2)
        return loss, tape.gradient(loss, list(variables.values()))

    def gradients():
        value, g = graph(x, target)
        return float(value), {n: a.numpy() for n, a in zip(variables, g, strict=True)}

    return {"tf.keras train_on_batch": (lambda: net.train_on_batch(x, target), gradients)}


def set_threads(threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def model(p, config, moving=None, decay=0.0):
    """(Keras model, name -> variable), with the values of p and `moving`."""
    layers, variables = keras.layers, []

    def pad_conv(h, w, b):
        k, _, _, filters = w.shape
        if k > 1:
            frame = [[0, 0], [k // 2] * 2, [k // 2] * 2, [0, 0]]
            h = layers.Lambda(lambda h: tf.pad(h, frame, "REFLECT"))(h)
        conv = layers.Conv2D(filters, k, kernel_regularizer=keras.regularizers.L2(decay))
        h = conv(h)
        conv.set_weights([w, b])
        variables.extend([conv.kernel, conv.bias])
        return h

    def batchnorm(h, gamma, beta, moving=None):
        bn = layers.BatchNormalization(epsilon=EPS)
        h = bn(h)
        bn.set_weights([gamma, beta, *(moving or bn.get_weights()[2:])])
        variables.extend([bn.gamma, bn.beta])
        return h

    ops = forward_ops(
        pad_conv=pad_conv,
        batchnorm=batchnorm,
        relu=lambda h: layers.ReLU()(h),
        elu=lambda h: layers.ELU()(h),
        add=lambda x, y: layers.Add()([x, y]),
        upsample_conv=lambda h, w, b: pad_conv(layers.UpSampling2D()(h), w, b),
    )
    x = keras.Input((None, None, 1))
    y, _ = network.forward(p, x, config, ops, moving)
    # network.forward takes the parameters in the order of p
    return keras.Model(x, y), dict(zip(p, variables, strict=True))
