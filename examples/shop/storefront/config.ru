# SPDX-License-Identifier: Apache-2.0

require_relative "config/application"

Storefront::Application.initialize!
run Storefront::Application
