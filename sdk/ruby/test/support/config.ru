# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require_relative "rails_app"

# A socket kept open before Puma forks: the one that no child may use.
Sarsen.call("orders", :get, "/before-fork")
run TestApp
