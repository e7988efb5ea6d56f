resource "google_cloud_run_v2_service" "server" {
  count = var.server == null ? 0 : 1

  name                = "${var.name}-server"
  project             = var.project_id
  location            = var.region
  description         = "Answers searches of an index"
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = false
  labels              = local.labels

  template {
    service_account                  = google_service_account.this["server"].email
    max_instance_request_concurrency = 8
    timeout                          = "60s"
    encryption_key                   = var.kms_key
    labels                           = local.labels

    scaling {
      min_instance_count = 0
      max_instance_count = var.server.max_instances
    }

    containers {
      image = local.images.server
      args  = ["--index=${var.server.index}", "--host=0.0.0.0", "--port=8080"]

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = var.server.cpu, memory = var.server.memory }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      # A model and an index are loaded before the port opens.
      startup_probe {
        initial_delay_seconds = 10
        period_seconds        = 10
        failure_threshold     = 24

        http_get {
          path = "/healthz"
          port = 8080
        }
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.this, google_kms_crypto_key_iam_member.agents]
}

resource "google_cloud_run_v2_service_iam_member" "invokers" {
  for_each = var.server == null ? toset([]) : toset(var.server.invokers)

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.server[0].name
  role     = "roles/run.invoker"
  member   = each.key
}
