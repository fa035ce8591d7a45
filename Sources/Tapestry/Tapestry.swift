@_exported import Autograd
@_exported import CUDABackend
@_exported import CoreTensor
@_exported import Data
@_exported import NN
@_exported import Optimizers
@_exported import Quantization
@_exported import Serving
@_exported import Training
@_exported import Transformers
@_exported import WordEmbeddings

/// What the library runs on and with: `print(Tapestry.configuration)` shows versions, instruction set, BLAS kernels, threads, and
/// warnings about settings that hold it back.
public var configuration: Configuration { .current }
