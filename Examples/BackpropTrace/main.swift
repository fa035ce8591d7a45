// One forward and backward pass of a 2-2-1 network, every number beside the operation of the tape that computed it.
import Tapestry

let x = Tensor([1.0, 0.5], dtype: .float64)
let target = Tensor([1.0], dtype: .float64)
let w1 = Tensor([[0.15, 0.20], [0.25, 0.30]], dtype: .float64, requiresGrad: true)
let b1 = Tensor([0.35, 0.35], dtype: .float64, requiresGrad: true)
let w2 = Tensor([[0.40, 0.45]], dtype: .float64, requiresGrad: true)
let b2 = Tensor([0.60], dtype: .float64, requiresGrad: true)

func show(_ name: String, _ tensor: Tensor, _ meaning: String) {
    let values = tensor.scalars(Double.self).map { (($0 * 1e6).rounded() / 1e6).description }.joined(separator: ", ")
    let step = tensor.gradFn.map { "by \($0.name)" } ?? (tensor.requiresGrad ? "a leaf" : "")
    let text = "\(name) = [\(values)]"
    print("  " + text + String(repeating: " ", count: max(2, 46 - text.count)) + meaning + (step.isEmpty ? "" : "  (\(step))"))
}

print("Forward")
let z1 = matmul(w1, x) + b1
let a1 = relu(z1)
let z2 = matmul(w2, a1) + b2
let prediction = sigmoid(z2)
let loss = -(target * log(prediction) + (1 - target) * log(1 - prediction)).sum()
for tensor in [z1, a1, z2, prediction] { tensor.retainGrad() }
show("z1", z1, "W1 x + b1")
show("a1", a1, "max(0, z1)")
show("z2", z2, "W2 a1 + b2")
show("prediction", prediction, "sigmoid(z2)")
show("loss", loss.reshaped([1]).detached(), "binary cross-entropy")

print("Tape, from the loss back")
func walk(_ node: Node?, _ depth: Int) {
    guard let node else { return }
    print("  " + String(repeating: "  ", count: depth) + node.name)
    for edge in node.nextEdges { walk(edge?.node, depth + 1) }
}
walk(loss.gradFn, 0)

print("Backward")
loss.backward()
show("dL/dz2", z2.grad!, "prediction - target")
show("dL/dW2", w2.grad!, "dL/dz2 a1ᵀ")
show("dL/db2", b2.grad!, "dL/dz2")
show("dL/da1", a1.grad!, "W2ᵀ dL/dz2")
show("dL/dz1", z1.grad!, "dL/da1 where z1 > 0")
show("dL/dW1", w1.grad!, "dL/dz1 xᵀ")
show("dL/db1", b1.grad!, "dL/dz1")

print("One step of gradient descent, learning rate 0.5")
func stepped(_ p: Tensor) -> Tensor { p.detached() - p.grad! * 0.5 }
show("W1", stepped(w1), "W1 - 0.5 dL/dW1")
show("b1", stepped(b1), "b1 - 0.5 dL/db1")
show("W2", stepped(w2), "W2 - 0.5 dL/dW2")
show("b2", stepped(b2), "b2 - 0.5 dL/db2")
