# SPDX-License-Identifier: Apache-2.0

Rails.application.routes.draw do
  match "/graphql", to: "graphql#execute", via: %i[get post]
  resource :session, only: %i[show create destroy]
end
