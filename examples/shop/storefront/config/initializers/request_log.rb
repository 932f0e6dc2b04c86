# SPDX-License-Identifier: Apache-2.0

# One line per request, with the BOM it ran under.
ActiveSupport::Notifications.subscribe("process_action.action_controller") do |event|
  request = event.payload[:request]
  travel = Travel.of(request)
  $stderr.write(
    format("storefront %<time>s %<method>s %<path>s status=%<status>s ms=%<ms>.1f " \
           "bom=%<bom>p customer=%<customer>p trace=%<trace>p\n",
           time: Time.now.strftime("%Y/%m/%d %H:%M:%S.%6N"),
           method: request.request_method, path: request.path,
           status: event.payload[:status] || 500, ms: event.duration,
           bom: travel.bom, customer: travel.customer,
           trace: request.get_header("HTTP_TRACEPARENT").to_s)
  )
end
