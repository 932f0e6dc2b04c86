# SPDX-License-Identifier: Apache-2.0

# What the gateway says about a request: its BOM and its customer, members of
# the header `baggage`. Only the gateway reaches this application, and it lets
# no `sarsen.` member of a browser through.
Travel = Struct.new(:bom, :customer) do
  def self.of(request)
    members = request.get_header("HTTP_BAGGAGE").to_s.split(",").to_h do |member|
      name, value = member.split(";", 2).first.to_s.split("=", 2)
      [name.to_s.strip, URI.decode_www_form_component(value.to_s.strip.gsub("+", "%2B"))]
    end
    new(members.fetch("sarsen.bom", ""), members.fetch("sarsen.customer", ""))
  rescue ArgumentError # a value that is not percent-encoded
    new("", "")
  end

  # Whoever has not logged in has the name of their device, which begins with "~".
  def customer_name
    customer.start_with?("~") ? "" : customer
  end
end
