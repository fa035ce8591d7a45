// XOR with a network of two layers: the classic problem that one layer cannot solve.
import Tapestry

manualSeed(42)
let inputs = Tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype: .float32)
let targets = Tensor([[0], [1], [1], [0]], dtype: .float32)

let model = Sequential(Linear(2, 4), Tanh(), Linear(4, 1))
let optimizer = SGD(model.parameters, learningRate: 0.5, momentum: 0.9)

print(model.summary())
for epoch in 0...2000 {
    let loss = bceWithLogits(model(inputs), targets)
    optimizer.zeroGrad()
    loss.backward()
    optimizer.step()
    if epoch % 400 == 0 { print("epoch \(epoch)  loss \(loss.item(Float.self))") }
}

let predictions = withoutGrad { sigmoid(model(inputs)).scalars(Float.self) }
for (input, prediction) in zip(inputs.matrix(Int.self), predictions) { print("\(input[0]) xor \(input[1]) = \(prediction)") }
