import CoreTensor

/// The functions that transformers have between the linear layers of their feed-forward parts, with Hugging Face's names for them.
public enum FeedForwardActivation: String, Sendable, Codable, CaseIterable {
    /// x Φ(x) (Hendrycks and Gimpel, 2016).
    case gelu
    /// The tanh form of GELU, GPT-2's `gelu_new`.
    case geluTanh
    /// x · sigmoid(1.702 x), CLIP's.
    case quickGELU
    /// max(x, 0)
    case relu
    /// max(x, 0)² (So et al., 2021)
    case reluSquared
    /// min(max(x, 0), 6)
    case relu6
    /// x · sigmoid(x), also called swish.
    case silu
    /// x · tanh(softplus(x)) (Misra, 2019)
    case mish
    /// tanh x
    case tanh
    /// 1 / (1 + e⁻ˣ)
    case sigmoid
    /// x itself.
    case identity

    /// The function that Hugging Face's configurations call `name`; nil if there is none of that name here.
    public init?(huggingFaceName name: String) {
        switch name {
        case "gelu", "gelu_python": self = .gelu
        case "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh": self = .geluTanh
        case "quick_gelu": self = .quickGELU
        case "relu": self = .relu
        case "relu2", "relu_squared": self = .reluSquared
        case "relu6": self = .relu6
        case "silu", "swish": self = .silu
        case "mish": self = .mish
        case "tanh": self = .tanh
        case "sigmoid": self = .sigmoid
        case "linear": self = .identity
        default: return nil
        }
    }

    /// The name that Hugging Face's configurations have for it.
    public var huggingFaceName: String {
        switch self {
        case .gelu: "gelu"
        case .geluTanh: "gelu_new"
        case .quickGELU: "quick_gelu"
        case .relu: "relu"
        case .reluSquared: "relu2"
        case .relu6: "relu6"
        case .silu: "silu"
        case .mish: "mish"
        case .tanh: "tanh"
        case .sigmoid: "sigmoid"
        case .identity: "linear"
        }
    }

    /// Its form that is computed in one pass with the product before it, where there is one.
    var fusedForm: LinearActivation? {
        switch self {
        case .gelu: .gelu
        case .geluTanh: .geluTanh
        case .relu: .relu
        case .silu: .silu
        default: nil
        }
    }

    /// The function of every element; the shape stays.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        if let fusedForm { return fusedForm(x) }
        switch self {
        case .quickGELU: return x * CoreTensor.sigmoid(x * 1.702)
        case .reluSquared:
            let y = CoreTensor.relu(x)
            return y * y
        case .relu6: return CoreTensor.relu6(x)
        case .mish: return CoreTensor.mish(x)
        case .tanh: return CoreTensor.tanh(x)
        case .sigmoid: return CoreTensor.sigmoid(x)
        default: return x
        }
    }
}
