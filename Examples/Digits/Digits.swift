import Tapestry

@main struct Digits { static func main() {} }
