# SPDX-License-Identifier: Apache-2.0

class GraphqlController < ApplicationController
  include Sarsen::Forward
  forward :execute, to: "orders"
end
