@_exported import Autograd
@_exported import CoreTensor
@_exported import Data
@_exported import NN
@_exported import Optimizers
@_exported import Transformers
