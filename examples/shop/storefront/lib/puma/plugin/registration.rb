# SPDX-License-Identifier: Apache-2.0

require "puma/plugin"
require "registration"

# Registers when Puma listens (only then the port is known), drains when it
# stops to accept, deregisters when the last request is answered.
Puma::Plugin.create do
  def start(launcher)
    registration = nil
    launcher.events.on_booted do
      registration = Registration.new(port: launcher.connected_ports.first)
      registration.start
    end
    launcher.events.on_stopped { registration&.drain }
    at_exit { registration&.deregister }
  end
end
