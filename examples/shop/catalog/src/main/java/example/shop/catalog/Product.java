// SPDX-License-Identifier: Apache-2.0
package example.shop.catalog;

/** One article, as the contract catalog@1 shows it. */
record Product(String sku, String name, String material, int priceCents) {}
