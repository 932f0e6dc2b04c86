# SPDX-License-Identifier: Apache-2.0

Sarsen.configure do |c|
  c.gateway = ENV.fetch("SARSEN_GATEWAY", "http://127.0.0.1:8001")
  c.name = "storefront"
end
