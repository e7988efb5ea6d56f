# Workers have no public address. They reach Google's services by Private Google Access and nothing
# else: there is no NAT. Whatever they need from elsewhere is in their image.

resource "google_compute_network" "this" {
  name                            = var.name
  project                         = var.project_id
  auto_create_subnetworks         = false
  delete_default_routes_on_create = false

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "workers" {
  name                     = "${var.name}-workers"
  project                  = var.project_id
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = "10.128.0.0/20"
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# Dataflow tags its machines; a shuffle among them takes these two ports.
resource "google_compute_firewall" "workers" {
  name        = "${var.name}-dataflow-workers"
  project     = var.project_id
  network     = google_compute_network.this.id
  description = "Dataflow workers among themselves"
  direction   = "INGRESS"
  source_tags = ["dataflow"]
  target_tags = ["dataflow"]

  allow {
    protocol = "tcp"
    ports    = ["12345-12346"]
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}
