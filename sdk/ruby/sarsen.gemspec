# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

require_relative "lib/sarsen/version"

Gem::Specification.new do |spec|
  spec.name = "sarsen"
  spec.version = Sarsen::VERSION
  spec.summary = "Forwards requests from Rails and Rack to the services behind a Sarsen gateway"
  spec.description = "A controller line, a route or a middleware that hands a request, byte for byte, to the service " \
                     "that owns it, and Sarsen.call for everything else. No dependency beyond rack."
  spec.authors = ["The Sarsen authors"]
  spec.license = "Apache-2.0"
  spec.required_ruby_version = ">= 2.6"
  spec.files = Dir.chdir(__dir__) { Dir["lib/**/*", "README.md", "sarsen.gemspec"].select { |path| File.file?(path) } }
  spec.require_paths = ["lib"]
  spec.metadata = { "rubygems_mfa_required" => "true" }
  spec.add_dependency "rack", ">= 1.6"
end
