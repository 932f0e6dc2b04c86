# SPDX-License-Identifier: Apache-2.0

# Who is served. Storefront is marked as Sarsen's identity upstream: the
# gateway takes the header Sarsen-Customer of its answers and keeps it in a
# signed cookie of its own. The example asks for no password.
class SessionsController < ApplicationController
  NAME = /\A[a-z][a-z0-9-]{0,31}\z/.freeze

  def show
    response.set_header("Cache-Control", "no-store")
    render json: { customer: Travel.of(request).customer_name }
  end

  def create
    name = params[:customer].to_s.strip.downcase
    unless NAME.match?(name)
      return render json: { error: "A customer's name is letters, digits and dashes, at most 32." },
                    status: :unprocessable_entity
    end

    response.set_header("Sarsen-Customer", name)
    render json: { customer: name }
  end

  def destroy
    response.set_header("Sarsen-Customer", "")
    head :no_content
  end
end
